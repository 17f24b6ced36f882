"""Saving beside the training: what is saved is what was there when it was saved, and a write that fails harms nothing and is told by all ranks at once."""

import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.on_ranks import on_ranks
from training.checkpoint_writer import CheckpointWriter
from training.checkpoints import Checkpoints
from training.errors import TrainingError
from training.processes import Processes

LONG = 30.0


def state(value: float = 0.0, position: int = 0) -> dict[str, Any]:
    """As a training's: matrices, a number as a tensor, plain values, bytes."""
    tensors = {"weight": torch.full((3, 4), float(value)), "step": torch.tensor(float(value))}
    return {"model": tensors, "schedule": {"rates": [value, value / 3], "last": int(value)}, "random": bytes([int(value)]), "progress": {"position": position}}


def values(content: dict[str, Any]) -> tuple[Any, ...]:
    model = content["model"]
    return model["weight"].tolist(), model["step"].item(), content["schedule"], content["random"], content["progress"]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return values(one) == values(other)


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted(path.name for path in checkpoints.folder.iterdir())


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While it is closed, nothing is written."""
    event, write = threading.Event(), CheckpointWriter.write_data

    def wait(*arguments: Any) -> Any:
        assert event.wait(LONG)
        return write(*arguments)

    monkeypatch.setattr(CheckpointWriter, "write_data", wait)
    yield event
    event.set()


def test_what_is_saved_is_read_again(tmp_path: Path, alone: Processes) -> None:
    with Checkpoints(tmp_path, 3, alone) as checkpoints:
        assert checkpoints.newest() is None
        checkpoints.save(7, state(7, 56), wait=True)
        newest = checkpoints.newest()
        assert newest == tmp_path / "checkpoints" / "step-00000007"
        found = state(1, 1)
        weight = found["model"]["weight"]
        checkpoints.load(newest, found)
        assert same(found, state(7, 56))
        assert found["model"]["weight"] is weight


def test_tensors_may_change_while_it_is_written(tmp_path: Path, alone: Processes, gate: threading.Event) -> None:
    checkpoints, live = Checkpoints(tmp_path, 3, alone), state(7, 56)
    checkpoints.save(7, live)
    live["model"]["weight"].fill_(8)
    live["model"]["step"].fill_(8)
    live["schedule"]["rates"][0] = 8
    live["schedule"]["last"] = 8
    live["progress"]["position"] = 64
    gate.set()
    checkpoints.finish()
    found = state()
    checkpoints.load(tmp_path / "checkpoints" / "step-00000007", found)
    assert same(found, state(7, 56))


def test_it_is_no_checkpoint_before_it_is_whole_and_nobody_waits(tmp_path: Path, alone: Processes, gate: threading.Event) -> None:
    checkpoints = Checkpoints(tmp_path, 3, alone)
    began = time.monotonic()
    checkpoints.save(7, state(7))
    checkpoints.poll()
    assert time.monotonic() - began < LONG / 2
    assert checkpoints.newest() is None
    gate.set()
    checkpoints.finish()
    assert checkpoints.newest() is not None
    assert names(checkpoints) == ["step-00000007"]


def test_the_next_one_waits_for_the_last_and_old_ones_go(tmp_path: Path, alone: Processes) -> None:
    with Checkpoints(tmp_path, 2, alone) as checkpoints:
        for step in range(1, 6):
            checkpoints.save(step, state(step))
    assert names(checkpoints) == ["step-00000004", "step-00000005"]


def test_a_step_that_is_saved_is_not_written_again(tmp_path: Path, alone: Processes) -> None:
    checkpoints = Checkpoints(tmp_path, 2, alone)
    checkpoints.save(1, state(1), wait=True)
    before = (tmp_path / "checkpoints" / "step-00000001" / ".metadata").stat().st_mtime_ns
    checkpoints.save(1, state(1), wait=True)
    assert (tmp_path / "checkpoints" / "step-00000001" / ".metadata").stat().st_mtime_ns == before


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path, alone: Processes) -> None:
    Checkpoints(tmp_path, 2, alone).save(1, state(1), wait=True)
    for name in (".step-00000002.unfinished", ".step-00000000.removed"):
        (tmp_path / "checkpoints" / name).mkdir()
        (tmp_path / "checkpoints" / name / "__0_0.distcp").write_bytes(b"half")
    assert names(Checkpoints(tmp_path, 2, alone)) == ["step-00000001"]


def test_an_end_by_an_error_lets_the_write_come_to_its_end(tmp_path: Path, alone: Processes, gate: threading.Event) -> None:
    with pytest.raises(KeyError), Checkpoints(tmp_path, 2, alone) as checkpoints:  # noqa: PT012
        checkpoints.save(1, state(1))
        threading.Timer(0.05, gate.set).start()
        raise KeyError
    assert names(checkpoints) == ["step-00000001"]


def test_a_full_disk_ends_all_ranks_at_the_same_step_and_the_one_before_stands(tmp_path: Path) -> None:
    (step, sentence, left), (step_of_other, *_) = on_ranks(2, fill, tmp_path, 10_000)
    assert step == step_of_other
    folder = tmp_path / "checkpoints"
    assert sentence == (
        f"the checkpoint of step 2 could not be written to {folder}: no room is left (File too large); it has to hold 3 checkpoints, and one more while that "
        f"is written. {folder / 'step-00000001'} stands, and the training goes on from there: make room, or lower --checkpoint.keep, and run the same command "
        "again"
    )
    assert left == ["step-00000001"]


def fill(out: Path, most_bytes: int) -> tuple[int, str, list[str]]:
    """The step at which a rank notices that the other's disk is full; what it says; what is left."""
    with Processes.start("cpu") as processes:
        checkpoints = Checkpoints(out, 3, processes)
        checkpoints.save(1, state(1), wait=True)
        if processes.rank == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        checkpoints.save(2, {"model": {f"weight {number}": torch.zeros(100, 100) for number in range(8)}})
        for step in range(3, 1_000_000):
            try:
                checkpoints.poll()
            except TrainingError as error:
                processes.all(True)  # so that rank 0 has tidied up
                return step, str(error), names(checkpoints)
        raise AssertionError("nobody noticed")


def test_when_the_first_write_fails_there_is_nothing_to_go_on_from(tmp_path: Path, alone: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise ValueError("something\n  else")

    monkeypatch.setattr(CheckpointWriter, "finish", fail)
    checkpoints = Checkpoints(tmp_path, 3, alone)
    with pytest.raises(TrainingError, match=r"checkpoint of step 5 .* \(something else\)\. no checkpoint is there yet, so the training begins anew"):
        checkpoints.save(5, state(), wait=True)
    assert names(checkpoints) == []
    checkpoints.poll()  # told once


@pytest.mark.parametrize("file", ["__0_0.distcp", ".metadata", "training.json"])
def test_a_damaged_checkpoint(tmp_path: Path, alone: Processes, file: str) -> None:
    checkpoints = Checkpoints(tmp_path, 3, alone)
    checkpoints.save(5, state(5), wait=True)
    path = tmp_path / "checkpoints" / "step-00000005"
    (path / file).write_bytes((path / file).read_bytes()[:40])
    with pytest.raises(TrainingError, match=r"step-00000005 is damaged \(.*\); remove that folder, and the training goes on from the checkpoint before it"):
        checkpoints.load(path, state())


@pytest.mark.parametrize("other", [{"weight": torch.zeros(5, 4)}, {"another weight": torch.zeros(3, 4)}])
def test_a_checkpoint_of_another_network(tmp_path: Path, alone: Processes, other: dict[str, torch.Tensor]) -> None:
    checkpoints = Checkpoints(tmp_path, 3, alone)
    checkpoints.save(5, state(5), wait=True)
    with pytest.raises(TrainingError, match=r"step-00000005 is of another network or optimizer \(.*weight.*\); go on with the options"):
        checkpoints.load(tmp_path / "checkpoints" / "step-00000005", {"model": other})


def test_none_to_keep(tmp_path: Path, alone: Processes) -> None:
    with pytest.raises(TrainingError, match="keep 1 or more"):
        Checkpoints(tmp_path, 0, alone)


def test_a_folder_that_cannot_be_made(tmp_path: Path, alone: Processes) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(TrainingError, match=r"out/checkpoints cannot be written to \(Not a directory\); choose another folder with --out"):
        Checkpoints(tmp_path / "out", 3, alone)
