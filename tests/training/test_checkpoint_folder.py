"""Which folders are checkpoints, which is the newest, and what they say of themselves."""

import json
from pathlib import Path

import pytest

from training.checkpoint_folder import checkpoints_in, name_of, newest_in, read_about
from training.errors import TrainingError


def make(folder: Path, name: str, *files: str) -> Path:
    (folder / name).mkdir(parents=True)
    for file in files:
        (folder / name / file).write_text(json.dumps({"step": 1, "progress": {"position": 8}}))
    return folder / name


def test_the_newest_is_that_of_the_highest_number(tmp_path: Path) -> None:
    for step in (100_000_000, 99_999_999, 5):
        make(tmp_path, name_of(step), ".metadata", "training.json")
    assert name_of(5) == "step-00000005"
    assert list(checkpoints_in(tmp_path)) == [5, 99_999_999, 100_000_000]
    assert newest_in(tmp_path) == tmp_path / "step-100000000"


def test_what_is_not_whole_is_no_checkpoint(tmp_path: Path) -> None:
    whole = make(tmp_path, name_of(1), ".metadata", "training.json")
    make(tmp_path, name_of(2), "training.json")
    make(tmp_path, name_of(3), ".metadata")
    make(tmp_path, ".step-00000004.unfinished", ".metadata", "training.json")
    make(tmp_path, ".step-00000005.removed", ".metadata", "training.json")
    make(tmp_path, "step-6", ".metadata", "training.json")
    (tmp_path / name_of(7)).write_text("a file")
    assert checkpoints_in(tmp_path) == {1: whole}


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    assert newest_in(tmp_path / "not there") is None


def test_it_says_what_it_is(tmp_path: Path) -> None:
    assert read_about(make(tmp_path, name_of(1), "training.json")) == {"step": 1, "progress": {"position": 8}}


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"step": 1}'])
def test_a_damaged_description(tmp_path: Path, content: str) -> None:
    path = make(tmp_path, name_of(1), ".metadata", "training.json")
    (path / "training.json").write_text(content)
    with pytest.raises(TrainingError, match=r"step-00000001 is damaged .*; remove that folder, and the training goes on from the checkpoint before it"):
        read_about(path)
