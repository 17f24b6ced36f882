"""The second request: the question again, and what was wrong with the answer."""

from typing import Any

import pytest

from pipeline.refine.repair import REPAIRED, repair_messages
from schemas.vocabulary import PendingReason

QUESTION: list[dict[str, Any]] = [{"role": "system", "content": "You judge."}, {"role": "user", "content": [{"type": "text", "text": "Who?"}]}]


def test_the_answer_and_what_is_wrong_with_it_are_shown() -> None:
    said = repair_messages(QUESTION, "id2", PendingReason.INVALID_JSON, "a key is there twice", '{"a": 1, "a": 2}')
    assert said[:2] == QUESTION
    assert said[2] == {"role": "assistant", "content": '{"a": 1, "a": 2}'}
    assert said[3]["role"] == "user"
    assert "a key is there twice" in said[3]["content"]
    assert "id2" in said[3]["content"]


def test_an_endless_answer_is_shown_in_part() -> None:
    assert len(repair_messages(QUESTION, "id2", PendingReason.CUT_SHORT, "too long", "x" * 9000)[2]["content"]) == 1000


@pytest.mark.parametrize(("problem", "answer"), [(PendingReason.WRONG_ID, '{"request_id": "other"}'), (PendingReason.INVALID_JSON, None)])
def test_another_ones_answer_is_not_shown_and_the_user_does_not_speak_twice_in_a_row(problem: PendingReason, answer: str | None) -> None:
    said = repair_messages(QUESTION, "id2", problem, "request_id is wrong", answer)
    assert [message["role"] for message in said] == ["system", "user"]
    assert said[1]["content"][0] == {"type": "text", "text": "Who?"}
    assert "request_id is wrong" in said[1]["content"][1]["text"]
    assert len(QUESTION[1]["content"]) == 1


def test_what_is_repaired_is_what_a_model_can_do_better() -> None:
    assert all(problem.is_final for problem in REPAIRED)
    assert {PendingReason.REFUSED, PendingReason.TOO_LARGE}.isdisjoint(REPAIRED)
