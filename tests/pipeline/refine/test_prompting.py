import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.failures import InputError
from pipeline.refine.prompting import Prompt, load_prompts, messages, parse_prompt
from pipeline.refine.questions import Picture, Question
from schemas.answers import answer_schema
from schemas.vocabulary import FailureKind, QuestionKind

ID = "0123456789abcdef"
SMALL = """version: 7
One $stated for $$5.
[system]
You judge.
[with reference]
The first picture shows who it is.
[without reference]
One picture.
[always]
The id is $request_id.
"""


def question(kind: QuestionKind, pictures: int = 1, has_reference: bool = False) -> Question:
    stated = {QuestionKind.VIEWPOINT: "left", QuestionKind.EXPRESSION: "disgust"}.get(kind)
    return Question(kind, "v", "c", "s", stated, tuple(Picture(number, (0, 0, 8, 8)) for number in range(pictures)), has_reference)


def expression(text: str = SMALL) -> Prompt:
    return parse_prompt(QuestionKind.EXPRESSION, text.encode(), "expression.txt")


def spoken(sent: Sequence[dict[str, Any]]) -> str:
    """Every word of a system and a user message."""
    system, user = sent
    return f"{system['content']}\n{user['content'][-1]['text']}"


@pytest.mark.parametrize("kind", list(QuestionKind))
@pytest.mark.parametrize("has_reference", [False, True])
def test_the_prompts_that_ship_name_every_field_and_every_word(kind: QuestionKind, has_reference: bool) -> None:
    if kind == QuestionKind.GLOBAL and has_reference:
        return  # it is the reference
    prompt = load_prompts()[kind]
    asked = question(kind, 1 + has_reference, has_reference)
    sent = messages(prompt, asked, ID, [b"jpeg"] * len(asked.pictures))
    text = spoken(sent)
    assert (prompt.name, prompt.version) == (kind.value, "1")
    assert f'"{ID}"' in text
    assert "$" not in text
    assert ("reference" in text) == has_reference
    if asked.stated is not None:
        assert f'"{asked.stated}"' in sent[-1]["content"][-1]["text"]
    described = text.replace(text[text.index('{"request_id"') : text.index("}") + 1], "")
    for name, field in answer_schema(kind, ID, has_reference)["properties"].items():
        assert name in text
        if set(field.get("enum", ())) - {"yes", "no"} and name not in {"certainty", "same_person"}:
            assert [word for word in field["enum"] if f"{word}:" not in described] == [], "every class is explained"


def test_what_is_sent() -> None:
    asked = question(QuestionKind.EXPRESSION, 2, True)
    assert messages(expression(), asked, ID, [b"first", b"second"]) == [
        {"role": "system", "content": "You judge."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(b"first").decode()}},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(b"second").decode()}},
                {"type": "text", "text": f"One disgust for $5.\nThe first picture shows who it is.\nThe id is {ID}."},
            ],
        },
    ]
    alone = messages(expression(), question(QuestionKind.EXPRESSION), ID, [b"only"])
    assert alone[1]["content"][-1]["text"] == f"One disgust for $5.\nOne picture.\nThe id is {ID}."


def test_what_requests_have_in_common_comes_first() -> None:
    """So that a server that keeps prefixes reads instructions and reference once."""
    prompt = load_prompts()[QuestionKind.VIEWPOINT]
    one, two = (json.dumps(messages(prompt, question(QuestionKind.VIEWPOINT, 2, True), id_, [b"reference", id_.encode()])) for id_ in ("a" * 16, "b" * 16))
    common = next(place for place, (left, right) in enumerate(zip(one, two, strict=True)) if left != right)
    assert base64.b64encode(b"reference").decode() in one[:common]
    assert "You answer with one JSON object" in one[:common]


def test_no_system_message_where_there_is_none() -> None:
    sent = messages(expression(SMALL.replace("[system]\nYou judge.\n", "")), question(QuestionKind.EXPRESSION), ID, [b""])
    assert [message["role"] for message in sent] == ["user"]


def test_the_form_of_the_answer_and_the_number_of_frames_can_be_told() -> None:
    text = "version: 1\n$request_id $frames $answer\n[with reference]\nThe first is the reference."
    prompt = parse_prompt(QuestionKind.CAPTION, text.encode(), "caption.txt")
    told = messages(prompt, question(QuestionKind.CAPTION, 4, True), ID, [b""] * 4)[0]["content"][-1]["text"]
    assert told.startswith(f'{ID} 3 {{"request_id": "...", "action": "...", ')
    assert '"camera": "static" | "panning" | ' in told


def test_pictures_must_be_those_of_the_question() -> None:
    with pytest.raises(ValueError, match="1 pictures for a question about 2"):
        messages(expression(), question(QuestionKind.EXPRESSION, 2), ID, [b""])


def test_the_hash_is_of_the_text_the_version_and_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = [expression().hash, expression(SMALL.replace("7", "8")).hash, expression(SMALL.replace("judge", "decide")).hash]
    hashes.append(parse_prompt(QuestionKind.VIEWPOINT, SMALL.encode(), "viewpoint.txt").hash)
    monkeypatch.setattr("pipeline.refine.prompting.answer_schema", lambda kind, id_, has: answer_schema(kind, id_, has) | ({"title": ""} if has else {}))
    hashes.append(expression().hash)
    assert len(set(hashes)) == len(hashes)


def test_how_a_file_is_written_down_does_not_matter() -> None:
    windows = b"\xef\xbb\xbf" + SMALL.replace("\n", " \r\n").encode() + b"\r\n\r\n"
    assert parse_prompt(QuestionKind.EXPRESSION, windows, "expression.txt") == expression()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version: 7\n", "", "first line must be like 'version: 1', not 'One"),
        ("version: 7", "version:", "first line must be"),
        ("$request_id", "none", r"must say \$request_id without a reference"),
        ("$stated", "nothing", r"must say \$stated"),
        ("[always]", "[with reference]", r"must say \$request_id without a reference"),
        ("[always]", "[without reference]", r"must say \$request_id with a reference"),
        ("You judge.", "You $judge.", r"the placeholder \$judge; there are \$answer, \$frames, \$request_id, \$stated"),
        ("$$5", "$5", r"write \$\$ where a dollar is meant"),
        ("[without reference]", "[without refrence]", r"a part \[without refrence\]"),
        ("[with reference]\nThe first picture shows who it is.\n", "", r"needs a part \[with reference\]"),
    ],
)
def test_what_is_wrong_with_a_prompt_is_said(old: str, new: str, words: str) -> None:
    assert old in SMALL
    with pytest.raises(InputError, match=words) as caught:
        expression(SMALL.replace(old, new))
    assert caught.value.kind == FailureKind.UNSUPPORTED
    assert str(caught.value).startswith("expression.txt cannot be used as a prompt: ")


def test_other_bytes_are_no_prompt() -> None:
    with pytest.raises(InputError, match="not UTF-8"):
        parse_prompt(QuestionKind.GLOBAL, b"version: 1\n\xff\xfe", "global.txt")


def test_own_prompts_take_the_place_of_those_that_ship(tmp_path: Path) -> None:
    (tmp_path / "expression.txt").write_text(SMALL)
    (tmp_path / "notes.md").write_text("no prompt")
    shipped, own = load_prompts(), load_prompts(str(tmp_path))
    assert own == shipped | {QuestionKind.EXPRESSION: expression()}


def test_a_folder_without_prompts_is_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match=r"holds no prompt: put any of global\.txt, viewpoint\.txt") as caught:
            load_prompts(str(folder))
        assert caught.value.kind == FailureKind.NOT_FOUND


def test_a_misspelt_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "expresion.txt").write_text(SMALL)
    with pytest.raises(InputError, match=r"expresion\.txt .*no prompt is called that"):
        load_prompts(str(tmp_path))
