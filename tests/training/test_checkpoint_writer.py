"""A checkpoint appears at once and whole; what is no longer needed goes, and errors say what the system said."""

import errno
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystem
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from training.checkpoint_folder import checkpoints_in, name_of
from training.checkpoint_writer import CheckpointWriter
from training.processes import Processes

ABOUT = '{"step": 0, "progress": {}}'


def write(folder: Path, step: int, keep: int = 2) -> Path:
    final = folder / name_of(step)
    save({"a": torch.full((3,), float(step))}, storage_writer=CheckpointWriter(folder / f".{name_of(step)}.unfinished", final, ABOUT, keep))
    return final


@pytest.mark.usefixtures("alone")
def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 9, 10, 11):
        write(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name_of(10), name_of(11)]
    state = {"a": torch.zeros(3)}
    load(state, checkpoint_id=str(tmp_path / name_of(10)))
    assert state["a"].tolist() == [10.0] * 3


@pytest.mark.usefixtures("alone")
def test_half_a_checkpoint_of_that_step_makes_room(tmp_path: Path) -> None:
    (write(tmp_path, 4) / "training.json").unlink()
    final = write(tmp_path, 4)
    assert checkpoints_in(tmp_path) == {4: final}
    assert [path.name for path in tmp_path.iterdir()] == [final.name]


@pytest.mark.usefixtures("alone")
def test_an_old_one_that_cannot_be_removed_is_only_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 1)

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    write(tmp_path, 2, keep=1)
    assert list(checkpoints_in(tmp_path)) == [2]
    assert "step-00000001 is not needed any more, but cannot be removed (Permission denied)" in caplog.text


def test_the_systems_own_error_comes_through_the_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: Processes) -> None:
    """Torch's writer, cut off in a file, says something of its own."""
    monkeypatch.setattr(FileSystem, "create_stream", small_disk)
    with pytest.raises(CheckpointException) as found:
        save({"a": torch.zeros(1000)}, storage_writer=CheckpointWriter(tmp_path / ".x", tmp_path / "x", ABOUT, 1), process_group=alone.writing)
    (error, _trace) = found.value.failures[0]
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    assert not (tmp_path / "x").exists()


class SmallDisk(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 2000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@contextmanager
def small_disk(_self: FileSystem, _path: Path, _mode: str) -> Iterator[io.IOBase]:
    yield SmallDisk()
