"""Prompts: files of text with a version, and the messages that are made of them.

A file begins with the line ``version: WORD``. The rest is a text with placeholders (``$request_id``; a dollar is ``$$``), parted by
lines that say whom the next lines are for:

    [system]             the system message
    [with reference]     said only when the first picture is the character's global anchor
    [without reference]  said only when there is none
    [always]             said in both cases, as is what stands before the first such line

What is the same for many requests belongs into the system message and the pictures come before the words, the reference first: a server
that keeps the beginnings of requests then reads these only once.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

from pipeline.failures import InputError
from pipeline.refine.questions import Question, content_hash
from pipeline.storage import exists, list_files, read_bytes
from schemas.answers import answer_schema
from schemas.vocabulary import FailureKind, QuestionKind

SUFFIX = ".txt"

SYSTEM, WITH_REFERENCE, WITHOUT_REFERENCE, ALWAYS = "[system]", "[with reference]", "[without reference]", "[always]"
PARTS = {SYSTEM, WITH_REFERENCE, WITHOUT_REFERENCE, ALWAYS}

NEEDED: dict[QuestionKind, frozenset[str]] = {
    QuestionKind.GLOBAL: frozenset({"request_id"}),
    QuestionKind.VIEWPOINT: frozenset({"request_id", "stated"}),
    QuestionKind.EXPRESSION: frozenset({"request_id", "stated"}),
    QuestionKind.CAPTION: frozenset({"request_id"}),
}
"""Placeholders without which a question cannot be put: the id that must come back, and the class that is asked about."""

FURTHER = frozenset({"answer", "frames"})
"""Placeholders that a prompt may have: the form of the answer, and the number of pictures beside the reference."""

COMPARED = frozenset({QuestionKind.VIEWPOINT, QuestionKind.EXPRESSION, QuestionKind.CAPTION})
"""Questions that come with a reference whenever there is one, so that their prompts must say which picture it is."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """How a kind of question is put.

    Attributes:
        name: of its file, without the suffix; it is the question's kind.
        version: as its file states.
        text: the file without its first line.
        hash: 16 hex digits over version, text and the schemas of the answers.
    """

    name: str
    version: str
    text: str
    hash: str


def load_prompts(folder: str | None = None) -> dict[QuestionKind, Prompt]:
    """The prompt of every kind of question.

    Args:
        folder: path or URL of a folder with any of global.txt, viewpoint.txt, expression.txt and caption.txt, which take the place of
            those that ship with the project.

    Raises:
        InputError: NOT_FOUND: the folder holds no prompt; UNSUPPORTED: a file is not what the module says, or no prompt is called that.
    """
    own = {} if folder is None else _own(folder)
    return {kind: parse_prompt(kind, *(own[kind] if kind in own else _shipped(kind))) for kind in QuestionKind}


def parse_prompt(kind: QuestionKind, content: bytes, source: str) -> Prompt:
    """The prompt that a file holds.

    Args:
        kind: of the questions it puts.
        content: of the file.
        source: where it is from, for messages.

    Raises:
        InputError: UNSUPPORTED.
    """
    try:
        first, *lines = (line.rstrip() for line in content.decode("utf-8-sig").split("\n"))
    except UnicodeDecodeError as error:
        raise _unfit(source, f"it is not UTF-8 ({error})") from error
    version = re.fullmatch(r"version: *(\S+)", first)
    if version is None:
        raise _unfit(source, f"its first line must be like 'version: 1', not {first[:80]!r}")
    text = "\n".join(lines).strip()
    if unknown := sorted(set(re.findall(r"^\[.*\]$", text, re.MULTILINE)) - PARTS):
        raise _unfit(source, f"it has a part {unknown[0]}; there are {', '.join(sorted(PARTS))}")
    for has_reference in (False, True):
        _check(kind, text, has_reference, source)
    if kind in COMPARED and not _part(text, (WITH_REFERENCE,)):
        raise _unfit(source, f"it needs a part {WITH_REFERENCE} that says that the first picture shows who the person is")
    schemas = [answer_schema(kind, "", has_reference) for has_reference in (False, True)]
    return Prompt(str(kind), version[1], text, content_hash([version[1], text, schemas]))


def messages(prompt: Prompt, question: Question, request_id: str, jpegs: Sequence[bytes]) -> list[dict[str, Any]]:
    """The messages of one request, as the chat API wants them.

    Args:
        prompt: of the question's kind.
        question: what is asked.
        request_id: the id that must come back.
        jpegs: the question's pictures, in their order.
    """
    if len(jpegs) != len(question.pictures):
        raise ValueError(f"{len(jpegs)} pictures for a question about {len(question.pictures)}")
    values = {
        "request_id": request_id,
        "stated": question.stated,
        "answer": _form(answer_schema(question.kind, request_id, question.has_reference)),
        "frames": len(jpegs) - question.has_reference,
    }
    system, user = (Template(text).substitute(values) for text in _texts(prompt.text, question.has_reference))
    content = [*map(_image, jpegs), {"type": "text", "text": user}]
    return [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": content}]


def _own(folder: str) -> dict[QuestionKind, tuple[bytes, str]]:
    files = list_files(folder, SUFFIX) if exists(folder) else []
    if not files:
        raise InputError(FailureKind.NOT_FOUND, f"{folder} holds no prompt: put any of {_names()} there, or leave the folder out")
    found = {}
    for file in files:
        name = file.rpartition("/")[2].removesuffix(SUFFIX)
        if name not in {str(kind) for kind in QuestionKind}:
            raise _unfit(file, f"no prompt is called that; there are {_names()}")
        found[QuestionKind(name)] = read_bytes(file), file
    return found


def _shipped(kind: QuestionKind) -> tuple[bytes, str]:
    file = resources.files("pipeline.refine") / "prompts" / f"{kind}{SUFFIX}"
    return file.read_bytes(), str(file)


def _names() -> str:
    return ", ".join(f"{kind}{SUFFIX}" for kind in QuestionKind)


def _unfit(source: str, what: str) -> InputError:
    return InputError(FailureKind.UNSUPPORTED, f"{source} cannot be used as a prompt: {what}")


def _check(kind: QuestionKind, text: str, has_reference: bool, source: str) -> None:
    """Raise InputError unless the placeholders are those that a question of the kind needs and may have."""
    template = Template("\n".join(_texts(text, has_reference)))
    if not template.is_valid():
        raise _unfit(source, "a $ must begin a placeholder; write $$ where a dollar is meant")
    found = set(template.get_identifiers())
    if unknown := found - NEEDED[kind] - FURTHER:
        raise _unfit(source, f"it has the placeholder ${min(unknown)}; there are {_spelt(NEEDED[kind] | FURTHER)}")
    if missing := NEEDED[kind] - found:
        raise _unfit(source, f"it must say {_spelt(missing)} {'with' if has_reference else 'without'} a reference")


def _spelt(placeholders: frozenset[str] | set[str]) -> str:
    return ", ".join(f"${name}" for name in sorted(placeholders))


def _texts(text: str, has_reference: bool) -> tuple[str, str]:
    """The system message and what is said below the pictures."""
    return _part(text, (SYSTEM,)), _part(text, (ALWAYS, WITH_REFERENCE if has_reference else WITHOUT_REFERENCE))


def _part(text: str, wanted: tuple[str, ...]) -> str:
    """The lines that are for any of the wanted, in order."""
    lines, current = [], ALWAYS
    for line in text.split("\n"):
        if line in PARTS:
            current = line
        elif current in wanted:
            lines.append(line)
    return "\n".join(lines).strip()


def _form(schema: dict[str, Any]) -> str:
    """A schema in short: every field with what may stand in it. The id is left out, so that the form is the same for every request."""
    return "{" + ", ".join(f'"{name}": {_choices(field)}' for name, field in schema["properties"].items()) + "}"


def _choices(field: dict[str, Any]) -> str:
    return " | ".join(map(json.dumps, field["enum"])) if "enum" in field else '"..."'


def _image(jpeg: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"}}
