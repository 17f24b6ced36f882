from fractions import Fraction
from pathlib import Path

import pytest

from model.errors import ModelInputError
from model.generate.plan import ChunkPlan
from model.generate.prompts import PromptSchedule, read_prompts


def schedule(folder: Path, text: str) -> PromptSchedule:
    (folder / "prompts.yaml").write_text(text)
    return read_prompts(str(folder / "prompts.yaml"))


def test_a_plain_prompt_is_for_ever() -> None:
    prompts = read_prompts("a walk: on the beach")
    assert prompts.prompt_at(0) == prompts.prompt_at(1e6) == "a walk: on the beach"
    prompts.check(1e6)


def test_an_entry_lasts_until_the_next(tmp_path: Path) -> None:
    prompts = schedule(tmp_path, "- {from: 0, to: 12.5, prompt: one}\n- {from: 12.5, prompt: two}\n- {from: 20, prompt: three}\n")
    assert [prompts.prompt_at(at) for at in (0, 12.4, Fraction("12.5"), 19.9, 20, 9999)] == ["one", "one", "two", "two", "three", "three"]
    prompts.check(9999)


def test_a_chunk_has_the_prompt_of_its_first_new_frame(tmp_path: Path) -> None:
    prompts = schedule(tmp_path, "- {from: 0, prompt: one}\n- {from: 5, prompt: two}\n- {from: 9.9, prompt: three}\n")
    plan = ChunkPlan(300)  # new frames from 0, 81 (5.06 s), 157 (9.8 s), 233 (14.6 s)
    assert [prompts.for_chunk(chunk) for chunk in plan] == ["one", "two", "two", "three"]


def test_prompts_that_end_before_the_video_are_said_to(tmp_path: Path) -> None:
    prompts = schedule(tmp_path, "- {from: 0, to: 5, prompt: one}\n")
    prompts.check(5)
    with pytest.raises(ModelInputError, match=r"prompts\.yaml: the prompts end at 5 s, but the video lasts 6 s; leave `to` out"):
        prompts.check(6)
    with pytest.raises(ModelInputError, match="has no prompt at 5 s; it covers 0 to 5 s"):
        prompts.prompt_at(5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {from: 1, prompt: a}", "entry 1 starts at 1 s; the first entry must start at 0"),
        ("- {from: 0, to: 5, prompt: a}\n- {from: 6, prompt: b}", "entry 2 starts at 6 s, but the entry before ends at 5 s: nothing is said about the gap"),
        ("- {from: 0, to: 5, prompt: a}\n- {from: 4, prompt: b}", "entry 2 starts at 4 s, but the entry before lasts until 5 s: two prompts overlap"),
        ("- {from: 0, prompt: a}\n- {from: 5, prompt: b}\n- {from: 3, prompt: c}", "entry 3 starts at 3 s, not after the entry before, which starts at 5 s"),
        ("- {from: 0, to: 0, prompt: a}", "entry 1 ends at 0 s, which is not after its start"),
        ("- {from: 0, prompt: ''}", "entry 1: the prompt is ''"),
        ("- {from: 0, prompt: 7}", "entry 1: the prompt is 7"),
        ("- {from: 0}", "entry 1 lacks `prompt`"),
        ("- {prompt: a}", "entry 1 lacks `from`"),
        ("- {from: soon, prompt: a}", "entry 1: `from` is 'soon'; give seconds"),
        ("- {from: .nan, prompt: a}", "entry 1: `from` is nan; give seconds"),
        ("- {from: 0, until: 5, prompt: a}", "entry 1 has until; an entry has from, to and prompt"),
        ("- a walk", "entry 1 is 'a walk', not an entry"),
        ("a: walk", "must hold a list of entries"),
        ("", "must hold a list of entries"),
        ("- {from: 0", "is not YAML"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_entry(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ModelInputError) as raised:
        schedule(tmp_path, text)
    assert str(raised.value).startswith(str(tmp_path / "prompts.yaml"))
    assert said in str(raised.value)


def test_a_file_that_is_not_there_and_an_empty_prompt() -> None:
    with pytest.raises(ModelInputError, match=r"nowhere\.yml: the file of prompts cannot be read"):
        read_prompts("nowhere.yml")
    with pytest.raises(ModelInputError, match="the prompt is empty"):
        read_prompts(" ")
