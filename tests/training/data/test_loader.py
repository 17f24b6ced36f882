import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from schemas.sample import SampleError
from training.data.loader import micro_batches
from training.data.places import Place
from training.errors import TrainingError


@dataclass
class Numbers:
    """In the place of a dataset: says which places it was asked for, by which process; even ones take longer, and one of them fails."""

    fails_at: int | None = None
    error: Exception | None = None
    dies: bool = False

    def __getitems__(self, places: Sequence[Place]) -> Any:
        first = places[0].row
        time.sleep(0.01 * (first % 2 == 0))
        if first == self.fails_at:
            if self.error is not None:
                raise self.error
            if self.dies:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(3600)
        return [place.row for place in places], os.getpid(), torch.full((3,), first), torch.get_num_threads()


def places(number: int) -> Iterator[list[Place]]:
    return ([Place(0, 2 * start), Place(0, 2 * start + 1)] for start in range(number))


def read(dataset: Numbers, where: Any, workers: int, prefetch: int = 2) -> Iterator[Any]:
    return micro_batches(cast(Any, dataset), where, workers, prefetch)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking after workers every so often, not every five seconds."""
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.3)


def gone(pids: set[int], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(Path("/proc", str(pid)).exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_their_order_from_as_many_processes(workers: int) -> None:
    batches = list(read(Numbers(), places(12), workers))
    assert [rows for rows, *_ in batches] == [[2 * number, 2 * number + 1] for number in range(12)]
    assert [int(tensor[0]) for _, _, tensor, _ in batches] == [2 * number for number in range(12)]
    assert len({pid for _, pid, *_ in batches} - {os.getpid()}) == workers
    assert all(threads == 1 for *_, threads in batches)
    assert gone({pid for _, pid, *_ in batches} - {os.getpid()})


def test_places_may_come_without_end_and_only_a_few_are_asked_for_ahead() -> None:
    asked: list[int] = []

    def endless() -> Iterator[list[Place]]:
        for number in count():
            asked.append(number)
            yield [Place(0, number)]

    batches = read(Numbers(), endless(), workers=2, prefetch=3)
    assert [rows for rows, *_ in islice(batches, 5)] == [[number] for number in range(5)]
    assert len(asked) <= 5 + 2 * 3
    batches.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("error", [TrainingError("there is no shard x; look for it"), SampleError("a: is damaged")])
def test_an_error_comes_as_it_was_raised_and_when_its_turn_is(error: Exception, workers: int) -> None:
    batches = read(Numbers(fails_at=6, error=error), places(12), workers)
    assert [next(batches)[0][0] for _ in range(3)] == [0, 2, 4]
    with pytest.raises(type(error)) as raised:
        next(batches)
    assert str(raised.value) == str(error)


def test_an_error_of_the_program_keeps_its_trace() -> None:
    with pytest.raises(KeyError, match="__getitems__"):
        list(read(Numbers(fails_at=6, error=KeyError("x")), places(12), 1))


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_dies_is_said_in_a_sentence() -> None:
    with pytest.raises(TrainingError, match=r"a process that reads samples has died: \d+ \(SIGKILL\)"):
        list(read(Numbers(fails_at=6, dies=True), places(12), 2))


def test_workers_end_when_the_reader_is_let_go() -> None:
    batches = read(Numbers(), places(100), 2)
    pids = {next(batches)[1] for _ in range(6)}
    del batches
    assert gone(pids)


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_hangs_is_ended() -> None:
    batches = read(Numbers(fails_at=6), places(100), 1, prefetch=8)
    pids = {next(batches)[1] for _ in range(2)}
    time.sleep(0.1)
    batches.close()  # type: ignore[attr-defined]
    assert gone(pids, seconds=3)


def test_a_signal_to_all_processes_leaves_the_workers_to_the_trainer() -> None:
    batches = read(Numbers(), places(40), 2)
    pids = {next(batches)[1] for _ in range(4)}
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        _kill_from_elsewhere(pid)
    assert len(list(batches)) == 36


def test_nobodys_random_numbers_and_signal_handlers_change() -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    before = signal.getsignal(signal.SIGCHLD)
    torch.manual_seed(0)
    list(read(Numbers(), places(4), 2))
    assert torch.equal(torch.rand(2), expected)
    assert signal.getsignal(signal.SIGCHLD) == before


def test_numbers_that_cannot_be() -> None:
    with pytest.raises(TrainingError, match=r"--data.workers"):
        read(Numbers(), places(1), -1)
    with pytest.raises(TrainingError, match=r"--data.prefetch"):
        read(Numbers(), places(1), 1, 0)


def _kill_from_elsewhere(pid: int) -> None:
    """SIGTERM from a process that is not the worker's parent."""
    child = os.fork()
    if child == 0:
        os.kill(pid, signal.SIGTERM)
        os._exit(0)
    os.waitpid(child, 0)
