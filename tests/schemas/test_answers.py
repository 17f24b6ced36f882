import json
import re
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from schemas.answers import CAMERA_SENTENCES, LONGEST_MESSAGE, TEXT_PATTERN, UNCLEAR, Answer, AnswerError, answer_schema, parse_answer
from schemas.vocabulary import Agreement, Camera, Coded, Expression, Flaw, PendingReason, QuestionKind, Viewpoint

ID = "0123456789abcdef"
EXPRESSION: dict[str, Any] = {
    "request_id": ID,
    "same_person": "yes",
    "covered": "no",
    "blurred": "no",
    "blinking": "yes",
    "speaking": "yes",
    "expression": "happy",
    "certainty": 4,
}
VIEW: dict[str, Any] = {"request_id": ID, "covered": "no", "blurred": "no", "blinking": "no", "speaking": "no", "view": "left", "certainty": 5}
CAPTION: dict[str, Any] = {
    "request_id": ID,
    "action": "She lifts a cup",
    "appearance": "Short grey hair;  a red coat.",
    "scene": "A kitchen at night",
    "camera": "panning",
}
EXAMPLES = [
    (EXPRESSION, QuestionKind.EXPRESSION, True),
    ({key: value for key, value in EXPRESSION.items() if key != "same_person"}, QuestionKind.EXPRESSION, False),
    (VIEW, QuestionKind.VIEWPOINT, False),
    (VIEW | {"same_person": "unsure"}, QuestionKind.VIEWPOINT, True),
    (VIEW, QuestionKind.GLOBAL, False),
    (CAPTION, QuestionKind.CAPTION, True),
    (CAPTION, QuestionKind.CAPTION, False),
]
KINDS = [(kind, has_reference) for kind in QuestionKind for has_reference in (False, True)]


def problem_of(text: str, kind: QuestionKind = QuestionKind.EXPRESSION, has_reference: bool = True) -> PendingReason:
    with pytest.raises(AnswerError) as caught:
        parse_answer(text, kind, ID, has_reference)
    assert 0 < len(str(caught.value)) <= LONGEST_MESSAGE
    str(caught.value).encode()
    return caught.value.problem


def spelt(vocabulary: type[Enum]) -> set[str]:
    return {member.name.lower() if issubclass(vocabulary, Coded) else member.value for member in vocabulary}


@pytest.mark.parametrize(("kind", "has_reference"), KINDS)
def test_every_field_is_required_and_no_other_is_there(kind: QuestionKind, has_reference: bool) -> None:
    schema = answer_schema(kind, ID, has_reference)
    Draft202012Validator.check_schema(schema)
    assert next(iter(schema["properties"].items())) == ("request_id", {"type": "string", "const": ID})
    assert schema["required"] == list(schema["properties"])
    assert schema["additionalProperties"] is False
    assert ("same_person" in schema["properties"]) == (has_reference and kind != QuestionKind.CAPTION)


def test_the_schemas_follow_the_vocabulary() -> None:
    fields = answer_schema(QuestionKind.EXPRESSION, ID, True)["properties"]
    assert set(fields["expression"]["enum"]) == spelt(Expression) | {UNCLEAR}
    assert set(fields["same_person"]["enum"]) == spelt(Agreement)
    assert {flaw.value for flaw in Flaw} <= set(fields)
    for kind in (QuestionKind.GLOBAL, QuestionKind.VIEWPOINT):
        view = answer_schema(kind, ID, False)["properties"]
        assert set(view["view"]["enum"]) == spelt(Viewpoint) | {UNCLEAR}
        assert {flaw.value for flaw in Flaw} <= set(view)
    assert set(answer_schema(QuestionKind.CAPTION, ID, True)["properties"]["camera"]["enum"]) == spelt(Camera)


@pytest.mark.parametrize(("kind", "has_reference"), KINDS)
def test_guided_decoders_meet_nothing_that_one_of_them_ignores(kind: QuestionKind, has_reference: bool) -> None:
    for field in answer_schema(kind, ID, has_reference)["properties"].values():
        assert set(field) in ({"type", "const"}, {"type", "enum"}, {"type", "pattern"})
    assert not re.search(r"\(|\\|[*+]", TEXT_PATTERN), "no groups, no escapes, nothing unbounded"
    assert max(int(most) for most in re.findall(r",(\d+)}", TEXT_PATTERN)) <= 128, "xgrammar fails on longer repetitions"


@pytest.mark.parametrize(("content", "kind", "has_reference"), EXAMPLES)
def test_a_whole_answer_is_read(content: dict[str, Any], kind: QuestionKind, has_reference: bool) -> None:
    assert Draft202012Validator(answer_schema(kind, ID, has_reference)).is_valid(content)
    parse_answer(json.dumps(content, indent=2) + "\n", kind, ID, has_reference)


def test_what_an_answer_says() -> None:
    assert parse_answer(json.dumps(EXPRESSION), QuestionKind.EXPRESSION, ID, True) == Answer("happy", Agreement.YES, (Flaw.BLINKING, Flaw.SPEAKING), 4, None)
    unclear = VIEW | {"view": UNCLEAR, "blurred": "yes"}
    assert parse_answer(json.dumps(unclear), QuestionKind.VIEWPOINT, ID, False) == Answer(None, None, (Flaw.BLURRED,), 5, None)


def test_a_caption_is_one_text_of_sentences() -> None:
    answer = parse_answer(json.dumps(CAPTION), QuestionKind.CAPTION, ID, True)
    assert answer == Answer(None, None, (), None, "She lifts a cup. Short grey hair; a red coat. A kitchen at night. The camera pans.")
    unsure = parse_answer(json.dumps(CAPTION | {"camera": "unsure", "scene": "Where is it?"}), QuestionKind.CAPTION, ID, True)
    assert unsure.caption == "She lifts a cup. Short grey hair; a red coat. Where is it?"
    assert set(CAMERA_SENTENCES) == set(Camera)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null and void",
        json.dumps(EXPRESSION)[:-1],
        json.dumps(EXPRESSION) + " Hope that helps!",
        json.dumps(EXPRESSION) * 2,
        f"```json\n{json.dumps(EXPRESSION)}\n```",
        "\ufeff" + json.dumps(EXPRESSION),
        json.dumps(EXPRESSION).replace("{", '{"certainty": 4, '),
        json.dumps(EXPRESSION).replace("4", "NaN"),
        json.dumps(EXPRESSION).replace("4", "-Infinity"),
        json.dumps(EXPRESSION).replace("4", "9" * 5000),
        json.dumps(EXPRESSION).replace("happy", "hap\npy"),
        json.dumps(EXPRESSION).replace("happy", "happy\\n"),
        json.dumps(EXPRESSION | {"a\x01key": 1}),
        json.dumps(EXPRESSION).replace('"certainty"', '"nested": [{"a": "b\\u0000"}], "certainty"'),
        "[" * 100_000,
        "{'request_id': 'x'}",
    ],
)
def test_what_is_not_json(text: str) -> None:
    assert problem_of(text) == PendingReason.INVALID_JSON


@pytest.mark.parametrize("control", ["\n", "\t", "\x00", "\x1b", "\x7f", "\x85"])
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("place", ["{}a text of a scene", "a text {} of a scene", "a text of a scene{}"])
def test_no_control_character_comes_into_a_caption(control: str, escaped: bool, place: str) -> None:
    spelling = json.dumps(control)[1:-1] if escaped else control
    text = json.dumps(CAPTION | {"scene": place.format("@")}).replace("@", spelling)
    assert problem_of(text, QuestionKind.CAPTION) == PendingReason.INVALID_JSON


@pytest.mark.parametrize(
    "content",
    [
        "happy",
        None,
        [EXPRESSION],
        {},
        VIEW,
        CAPTION,
        EXPRESSION | {"expression": "joy"},
        EXPRESSION | {"expression": "Happy"},
        EXPRESSION | {"expression": None},
        EXPRESSION | {"expression": "\ud800"},
        EXPRESSION | {"certainty": 0},
        EXPRESSION | {"certainty": 6},
        EXPRESSION | {"certainty": 3.5},
        EXPRESSION | {"certainty": "4"},
        EXPRESSION | {"certainty": True},
        EXPRESSION | {"covered": "unsure"},
        EXPRESSION | {"covered": True},
        EXPRESSION | {"request_id": 5},
        EXPRESSION | {"reasoning": "x" * 5000},
        {key: value for key, value in EXPRESSION.items() if key != "request_id"},
        {key: value for key, value in EXPRESSION.items() if key != "same_person"},
    ],
)
def test_what_is_another_schema(content: Any) -> None:
    assert problem_of(json.dumps(content)) == PendingReason.WRONG_SCHEMA


@pytest.mark.parametrize(
    "text", ["too few", "x" * 161, " leading space", 'a "quoted" word', "back\\slash here", "a caf\u00e9 at night", "[in brackets]", "        "]
)
def test_texts_of_captions_are_plain(text: str) -> None:
    assert problem_of(json.dumps(CAPTION | {"scene": text}), QuestionKind.CAPTION) == PendingReason.WRONG_SCHEMA


@given(st.from_regex(re.compile(TEXT_PATTERN, re.ASCII), fullmatch=True))
def test_whatever_the_pattern_lets_through_needs_no_escape_and_can_be_read(text: str) -> None:
    text = text.rstrip("\n")  # Python's $ stands before a last line break too
    assert text.isprintable()
    assert json.dumps(text) == f'"{text}"'
    answer = parse_answer(json.dumps(CAPTION | {"action": text}), QuestionKind.CAPTION, ID, False)
    assert answer.caption is not None
    assert answer.caption.startswith(" ".join(text.split()))


@pytest.mark.parametrize("other", [{}, {"expression": "joy"}, {"certainty": 99}, {"more": 1}])
def test_another_requests_answer_is_not_looked_at(other: dict[str, Any]) -> None:
    assert problem_of(json.dumps(EXPRESSION | {"request_id": "fedcba9876543210"} | other)) == PendingReason.WRONG_ID
    assert problem_of(json.dumps(CAPTION | {"request_id": "", "camera": "none"}), QuestionKind.EXPRESSION) == PendingReason.WRONG_ID
    assert problem_of(json.dumps({"request_id": "\ud800"})) == PendingReason.WRONG_ID


def test_numbers_that_are_whole_are_integers() -> None:
    answer = parse_answer(json.dumps(EXPRESSION | {"certainty": 4.0}), QuestionKind.EXPRESSION, ID, True)
    assert isinstance(answer.certainty, int)
