"""What lies in a folder stays as it is, and a folder that nothing came into goes away."""

from pathlib import Path

import pytest

from model.errors import ModelInputError
from model.new_folder import new_folder


def test_a_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with new_folder(folder):
        assert folder.is_dir()
        (folder / "weights").write_text("1")
    assert (folder / "weights").read_text() == "1"


def test_an_empty_one_is_taken_and_stays(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path):
        raise KeyboardInterrupt
    assert tmp_path.is_dir()


def test_what_was_made_for_nothing_goes_away(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ModelInputError, match="no weights"), new_folder(tmp_path / "there" / "a" / "b"):
        raise ModelInputError("no weights")
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_what_was_written_stays_when_the_rest_fails(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(FileNotFoundError), new_folder(folder):
        (folder / "weights").write_text("1") and (folder / "more").read_text()
    assert (folder / "weights").read_text() == "1"


def test_nothing_is_written_over(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / ".weights").write_text("1")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder, said in (
        (full, "full is not empty, and nothing is written over; choose another with --out, or remove it"),
        (full / ".weights", "weights is not a folder; choose another with --out, or remove it"),
        (tmp_path / "link", "link is not a folder"),
        (full / ".weights" / "a" / "b", r"b cannot be made \(Not a directory\); choose another with --out"),
    ):
        with pytest.raises(ModelInputError, match=said), new_folder(folder):
            pytest.fail("the work began")
    assert (full / ".weights").read_text() == "1"


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.new_folder.os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ModelInputError, match="cannot be written to; choose another with --out"), new_folder(tmp_path):
        pytest.fail("the work began")
