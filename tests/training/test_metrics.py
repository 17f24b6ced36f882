import json
import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from training.metrics import MetricsFile, cut, read


def no_word(text: str) -> None:
    raise AssertionError(text)


def written(path: Path, steps: list[int], resumed_at: int | None = None) -> None:
    file = MetricsFile(path, resumed_at, no_word)
    for step in steps:
        file.append("training", step, {"loss": 1 / step})
    file.close()


@contextmanager
def full_disk(at: int) -> Iterator[None]:
    """No file may grow beyond so many bytes; what fits of a write is written, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_lines_are_there_as_soon_as_they_are_written(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "m", None, no_word)
    file.append("training", 1, {"loss": 0.1 + 0.2})
    assert read(tmp_path / "m") == [{"kind": "training", "step": 1, "loss": 0.1 + 0.2}]
    file.close()


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert read(tmp_path / "none") == []
    cut(tmp_path / "none", 3)
    assert not (tmp_path / "none").exists()


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "m", None, no_word)
    file.append("training", 1, {"loss": math.nan, "rate": math.inf, "key": "ä"})
    file.close()
    assert json.loads((tmp_path / "m").read_text()) == {"kind": "training", "step": 1, "loss": None, "rate": None, "key": "ä"}


def test_a_resumed_file_is_that_of_a_run_that_was_never_stopped(tmp_path: Path) -> None:
    written(tmp_path / "whole", [10, 20, 30, 40])
    written(tmp_path / "resumed", [10, 20, 30])
    with (tmp_path / "resumed").open("ab") as file:
        file.write(b'{"kind": "training", "st')  # killed in the middle of a line
    written(tmp_path / "resumed", [30, 40], resumed_at=25)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("rest", [b"\0" * 40 + b"\n", b'{"kind": "training"\n', b"7\n", b'{"loss": 1.0}\n', b"\n"])
def test_what_a_loss_of_power_left_is_passed_over(tmp_path: Path, rest: bytes) -> None:
    written(tmp_path / "m", [10, 20])
    whole = (tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(whole + rest)
    assert [line["step"] for line in read(tmp_path / "m")] == [10, 20]
    cut(tmp_path / "m", 20)
    assert (tmp_path / "m").read_bytes() == whole


def test_a_new_training_begins_an_empty_file(tmp_path: Path) -> None:
    written(tmp_path / "m", [10, 20])
    written(tmp_path / "m", [10])
    assert [line["step"] for line in read(tmp_path / "m")] == [10]


def test_a_file_that_needs_no_cut_is_left_alone(tmp_path: Path) -> None:
    written(tmp_path / "m", [10, 20])
    before = (tmp_path / "m").stat().st_ino
    cut(tmp_path / "m", 20)
    assert (tmp_path / "m").stat().st_ino == before


def test_lines_wait_while_the_disk_is_full_and_none_is_torn(tmp_path: Path) -> None:
    told: list[str] = []
    file = MetricsFile(tmp_path / "m", None, told.append)
    file.append("training", 1, {"loss": 1.0})
    with full_disk((tmp_path / "m").stat().st_size + 10):
        file.append("training", 2, {"loss": 2.0})
        file.append("training", 3, {"loss": 3.0})
        assert [line["step"] for line in read(tmp_path / "m")] == [1]
        assert (tmp_path / "m").read_bytes().endswith(b"\n")
    file.append("training", 4, {"loss": 4.0})
    file.close()
    assert [line["step"] for line in read(tmp_path / "m")] == [1, 2, 3, 4]
    (sentence,) = told
    assert "cannot be written" in sentence
    assert "free some" in sentence


def test_a_disk_without_any_room_ends_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    file = MetricsFile(tmp_path / "m", None, told.append)
    with full_disk(0):
        file.append("training", 1, {})
    assert len(told) == 1
    file.close()


@pytest.mark.parametrize("resumed_at", [None, 0])
def test_nothing_is_kept_of_a_training_without_a_checkpoint(tmp_path: Path, resumed_at: int | None) -> None:
    written(tmp_path / "m", [1, 2])
    cut(tmp_path / "m", resumed_at)
    assert read(tmp_path / "m") == []
