"""What a judge answers: JSON Schemas made from the vocabulary, and the strict reading of an answer.

The schemas are enums and one pattern, which every guided decoder follows to the letter: no lookaheads, no lengths beside a pattern. An
answer names its request by an id; what names another one is not looked at any further, because it is about another picture.
"""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from schemas.vocabulary import Agreement, Camera, Coded, Expression, Flaw, PendingReason, QuestionKind, Viewpoint, words

UNCLEAR = "unclear"
"""What a judge names that sees none of the classes."""

CLASSES: dict[QuestionKind, tuple[str, type[Coded]]] = {
    QuestionKind.GLOBAL: ("view", Viewpoint),
    QuestionKind.VIEWPOINT: ("view", Viewpoint),
    QuestionKind.EXPRESSION: ("expression", Expression),
}
"""Of each question about a person: the field that names the class, and the classes."""

CERTAINTIES = (1, 2, 3, 4, 5)
"""From a guess to beyond doubt."""

TEXTS = ("action", "appearance", "scene")
"""The fields of a caption, in the order they are told."""

TEXT_PATTERN = r"^[A-Za-z0-9][ !#-Z_-~]{7,79}[ !#-Z_-~]{0,80}$"
"""8 to 160 characters of printable ASCII without quotation mark, backslash, brackets and caret, the first one a letter or a digit.

The repetition is in two parts because xgrammar 0.2.8 fails on one of more than 128, and a vLLM server then answers with a 500.
"""

CAMERA_SENTENCES = {
    Camera.STATIC: "The camera is static.",
    Camera.PANNING: "The camera pans.",
    Camera.TILTING: "The camera tilts.",
    Camera.ZOOMING: "The camera zooms.",
    Camera.FOLLOWING: "The camera follows the character.",
    Camera.HANDHELD: "The camera is handheld.",
    Camera.UNSURE: "",
}
"""How a caption ends."""

LONGEST_MESSAGE = 400
"""Characters of an error's message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a judge said.

    Attributes:
        named: the class it sees; None when none is clear, and of a caption.
        same_person: whether it is the person of the reference; None without one.
        flaws: what is wrong with the face, in the vocabulary's order.
        certainty: 1 to 5; None of a caption.
        caption: sentences; None of a question about a class.
    """

    named: str | None
    same_person: Agreement | None
    flaws: tuple[Flaw, ...]
    certainty: int | None
    caption: str | None


class AnswerError(ValueError):
    """An answer that cannot be used.

    Attributes:
        problem: INVALID_JSON, WRONG_SCHEMA or WRONG_ID.
    """

    def __init__(self, problem: PendingReason, message: str) -> None:
        super().__init__(message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…")
        self.problem = problem


def answer_schema(kind: QuestionKind, request_id: str, has_reference: bool) -> dict[str, Any]:
    """The JSON Schema of the answer to one request: what is seen comes before what follows from it.

    Args:
        kind: of the question.
        request_id: must come back.
        has_reference: whether there is a picture to compare the person with.
    """
    return _object({"request_id": {"type": "string", "const": request_id}} | _fields(kind, has_reference))


def parse_answer(text: str, kind: QuestionKind, request_id: str, has_reference: bool) -> Answer:
    """The answer that a text holds.

    Args:
        text: the model's words, all of them.
        kind: of the question that was asked.
        request_id: of the request.
        has_reference: as the question was asked.

    Raises:
        AnswerError: it is not JSON and nothing but JSON (a key twice and control characters are none either), has the id of another
            request, or is not what the schema says. The message says what is wrong, for the model to read.
    """
    content = _strict_json(text)
    found = content.get("request_id") if isinstance(content, dict) else None
    if isinstance(found, str) and found != request_id:
        raise AnswerError(PendingReason.WRONG_ID, f"request_id is {found!a}, but the request's is {request_id!a}")
    if errors := [f"{error.json_path}: {error.message}" for error in _validator(kind, has_reference).iter_errors(content)]:
        raise AnswerError(PendingReason.WRONG_SCHEMA, "; ".join(errors[:3]))
    if kind == QuestionKind.CAPTION:
        return Answer(named=None, same_person=None, flaws=(), certainty=None, caption=_caption(content))
    named = content[CLASSES[kind][0]]
    return Answer(
        named=None if named == UNCLEAR else named,
        same_person=Agreement(content["same_person"]) if has_reference else None,
        flaws=tuple(flaw for flaw in Flaw if content[flaw] == Agreement.YES),
        certainty=int(content["certainty"]),
        caption=None,
    )


def _fields(kind: QuestionKind, has_reference: bool) -> dict[str, dict[str, Any]]:
    """The fields beside the id, in order."""
    if kind == QuestionKind.CAPTION:
        return {name: {"type": "string", "pattern": TEXT_PATTERN} for name in TEXTS} | {"camera": _word(words(Camera))}
    name, classes = CLASSES[kind]
    fields = {"same_person": _word(words(Agreement))} if has_reference else {}
    fields |= {str(flaw): _word([str(Agreement.YES), str(Agreement.NO)]) for flaw in Flaw}
    return fields | {name: _word([*words(classes), UNCLEAR]), "certainty": {"type": "integer", "enum": list(CERTAINTIES)}}


def _word(choices: list[str]) -> dict[str, Any]:
    return {"type": "string", "enum": choices}


def _object(properties: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@cache
def _validator(kind: QuestionKind, has_reference: bool) -> Draft202012Validator:
    """Of all requests of a kind: the id is compared apart."""
    return Draft202012Validator(_object({"request_id": {"type": "string"}} | _fields(kind, has_reference)))


def _strict_json(text: str) -> Any:
    try:
        content = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise AnswerError(PendingReason.INVALID_JSON, f"this is not one JSON object and nothing else: {error}") from error
    if any(unicodedata.category(character) == "Cc" for string in _strings(content) for character in string):
        raise AnswerError(PendingReason.INVALID_JSON, "there are control characters in a text")
    return content


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is there twice")
    return content


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _strings(content: Any) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    pending = [content]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list):
            pending += value


def _caption(content: dict[str, Any]) -> str:
    """One text of whole sentences."""
    sentences = [" ".join(content[name].split()) for name in TEXTS]
    sentences = [sentence if sentence.endswith((".", "!", "?")) else f"{sentence}." for sentence in sentences]
    return " ".join([*sentences, CAMERA_SENTENCES[Camera(content["camera"])]]).strip()
