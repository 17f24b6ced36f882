import time
from typing import get_args

import pytest
import torch

from tests.training.on_ranks import on_ranks
from tests.training.stand_ins import Alone
from training.meters import Part, PartTimes, StepTimer, Throughput
from training.processes import Processes

PARTS: tuple[Part, ...] = get_args(Part)


def times(seconds: float, steps: int = 1, **parts: float) -> PartTimes:
    return PartTimes(steps, seconds, {part: parts.get(part, 0.0) for part in PARTS})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_seconds_go_to_the_part_in_which_they_pass(clock: list[float]) -> None:
    timer = StepTimer("cpu")
    for _ in range(2):
        with timer.part("data"):
            clock[0] += 2
        with timer.part("compute"):
            clock[0] += 5
        clock[0] += 1
        timer.step()
    assert timer.read() == times(16.0, steps=2, data=4.0, compute=10.0)
    clock[0] += 1
    assert timer.read() == times(1.0, steps=0)


def test_what_is_apart_is_no_time_of_a_step(clock: list[float]) -> None:
    timer = StepTimer("cpu")
    with timer.apart():
        clock[0] += 100
    clock[0] += 1
    assert timer.read().seconds == 1


def test_a_gpu_is_timed_by_its_own_clock_and_waited_for_when_read(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    stream = [0.0]  # seconds on the device

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = stream[0]

        def elapsed_time(self, end: "Event") -> float:
            assert waits
            return 1000 * (end.at - self.at)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(clock[0]))
    timer = StepTimer("cuda:0")
    with timer.part("data"):
        clock[0] += 1
    for part, seconds in (("encode", 2.0), ("compute", 5.0), ("compute", 1.0)):
        with timer.part(part):  # type: ignore[arg-type]
            stream[0] += seconds
    timer.step()
    assert not waits
    clock[0] += 9  # until the device is done
    assert timer.read() == times(10.0, data=1.0, encode=2.0, compute=6.0)
    assert len(waits) == 1


def test_an_error_in_a_part_passes_through() -> None:
    timer = StepTimer("cpu")
    with pytest.raises(KeyError), timer.part("data"):
        raise KeyError("key")


def seconds_per_step(timer: StepTimer, steps: int = 200) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        for part in PARTS:
            with timer.part(part):
                pass
        timer.step()
    return (time.perf_counter() - began) / steps


def test_timing_costs_next_to_nothing() -> None:
    timer = StepTimer("cpu")
    assert min(seconds_per_step(timer) for _ in range(5)) < 1e-4


def test_shares_are_of_the_whole_time() -> None:
    found = times(10.0, data=1.0, encode=2.0, compute=6.0, average=0.5)
    assert found.share("data") == 0.1
    assert found.overhead == pytest.approx(0.2)
    assert times(0.0).overhead == times(0.0).share("data") == 0
    assert times(1.0, compute=1.5).overhead == 0


def test_throughput_is_what_was_counted_by_the_time() -> None:
    throughput = Throughput(Alone(), peak=1000.0)  # type: ignore[arg-type]
    throughput.add(samples=2, tokens=300, forward_flops=400)
    throughput.add(samples=1, tokens=100, forward_flops=200)
    found = throughput.read(times(2.0, steps=4, data=0.5, compute=1.0))
    assert found == {
        "samples_per_second": 1.5,
        "tokens_per_second": 200.0,
        "seconds_per_step": 0.5,
        "data_wait": 0.25,
        "overhead": 0.5,
        "share_of_peak": 0.9,
    }
    assert throughput.read(times(1.0))["tokens_per_second"] == 0


def test_an_unknown_peak_gives_no_share() -> None:
    throughput = Throughput(Alone(), peak=None)  # type: ignore[arg-type]
    throughput.add(1, 1, 1)
    assert "share_of_peak" not in throughput.read(times(1.0))


def counted() -> dict[str, float]:
    with Processes.start("cpu") as processes:
        throughput = Throughput(processes, peak=1000.0)
        throughput.add(samples=1 + processes.rank, tokens=100, forward_flops=250)
        return throughput.read(times(2.0 + processes.rank, data=1.0, compute=1.0))


def test_ranks_are_summed_and_the_slowest_counts() -> None:
    one, other = on_ranks(2, counted)
    assert one == other
    assert one["samples_per_second"] == 1.0
    assert one["tokens_per_second"] == pytest.approx(200 / 3)
    assert one["share_of_peak"] == pytest.approx(3 * 500 / 3 / 2000)
    assert one["data_wait"] == 0.5
    assert one["overhead"] == pytest.approx(2 / 3)
