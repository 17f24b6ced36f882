import hashlib
from dataclasses import replace
from typing import Any

import pytest

from pipeline.refine.questions import Picture, Question, content_hash, verdict_id
from schemas.vocabulary import QuestionKind

ASKED = Question(
    kind=QuestionKind.EXPRESSION,
    video_id="0123456789abcdef",
    character_id="0123456789abcdef-c00",
    subject="anchor",
    stated="happy",
    pictures=(Picture(0, (0, 0, 100, 100)), Picture(40_000_000, (10, 20, 30, 40))),
    has_reference=True,
)


def known_by(question: Question = ASKED, pixels: int = 448 * 448, quality: int = 90, prompt_hash: str = "p", model: str = "m") -> str:
    return verdict_id(question.picture_hash(pixels, quality), question, prompt_hash, model)


def test_a_hash_is_over_canonical_json() -> None:
    assert content_hash({"b": 1, "a": [None, "ä"]}) == hashlib.sha256(b'{"a":[null,"\\u00e4"],"b":1}').hexdigest()[:16]
    assert content_hash([1, 23]) != content_hash([12, 3])


def test_the_picture_hash_is_over_what_pictures_are_made_from() -> None:
    made_from = ["0123456789abcdef", [[0, 0, 0, 100, 100], [40_000_000, 10, 20, 30, 40]], 200704, 90]
    assert ASKED.picture_hash(448 * 448, 90) == content_hash(made_from)


@pytest.mark.parametrize(
    "changed",
    [
        {"question": replace(ASKED, kind=QuestionKind.VIEWPOINT)},
        {"question": replace(ASKED, video_id="fedcba9876543210")},
        {"question": replace(ASKED, stated="sad")},
        {"question": replace(ASKED, stated=None)},
        {"question": replace(ASKED, has_reference=False)},
        {"question": replace(ASKED, pictures=ASKED.pictures[::-1])},
        {"question": replace(ASKED, pictures=ASKED.pictures[1:])},
        {"question": replace(ASKED, pictures=(ASKED.pictures[0], Picture(40_000_001, (10, 20, 30, 40))))},
        {"question": replace(ASKED, pictures=(ASKED.pictures[0], Picture(40_000_000, (10, 20, 30, 41))))},
        {"pixels": 784},
        {"quality": 91},
        {"prompt_hash": "q"},
        {"model": "n"},
    ],
)
def test_whatever_can_change_the_answer_is_another_verdict(changed: dict[str, Any]) -> None:
    assert known_by(**changed) != known_by()


def test_who_asks_for_it_does_not_matter() -> None:
    assert known_by(replace(ASKED, subject="another", character_id="another")) == known_by()
    assert len(known_by()) == 16
    assert int(known_by(), 16) >= 0


def test_questions_can_be_keys() -> None:
    assert {ASKED: 1}[replace(ASKED)] == 1
