import time
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.checkpoint import Checkpoint
from model.flops import FlopCount
from tests.model import tiny_wan
from tests.training.held_out import sample
from tests.training.on_ranks import on_ranks
from tests.training.small_training import small_checkpoint
from tests.training.stand_ins import Alone
from training.conditioning import Conditioner
from training.loss import velocity_losses
from training.meters import Part, PartTimes, StepTimer, Throughput, trained_share, useful_flops
from training.network import TrainedNetwork
from training.options import Trained
from training.processes import Processes
from training.stages import freeze_others

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
    throughput.add(samples=2, tokens=300, flops=1200.0)
    throughput.add(samples=1, tokens=100, flops=600.0)
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


def test_weights_that_are_not_trained_need_no_gradient_but_activations_do() -> None:
    """A layer's products: forward, for its input, for its weights. Scores: forward, for both factors."""
    forward = FlopCount(1, 10, 100, 1000, 10_000, 0, 100_000)
    assert useful_flops(forward, 1.0) == 3 * forward.total == forward.training()
    assert useful_flops(forward, 0.0) == 2 * 111_011 + 3 * 100
    assert useful_flops(forward, 0.25) == 2.25 * 111_011 + 3 * 100


def test_the_trained_share_is_by_numbers() -> None:
    layers = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    layers[0].requires_grad_(False)
    assert trained_share(layers) == 5 / 21


def test_what_pytorch_computes_is_what_is_counted() -> None:
    """Of a network of which everything, or the embeddings and the feed-forward layers, are trained."""
    checkpoint = small_checkpoint()
    batch = Conditioner(checkpoint, "cpu")([one := sample(height=32, width=32)])
    network = TrainedNetwork.of(checkpoint)
    for trained in (get_args(Trained), ("embeddings", "feed_forward")):
        freeze_others(network, trained)
        throughput = Throughput(Alone(), 1.0, trained_share(network.transformer))  # type: ignore[arg-type]
        throughput.count(checkpoint, [one], batch)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            velocity_losses(network, batch).sum().backward()
        assert throughput.read(times(1.0))["share_of_peak"] == pytest.approx(counter.get_total_flops(), rel=0.05), trained


def test_only_real_samples_anchors_and_sounds_count() -> None:
    """32x32 pixels are 16x16 latents, 64 tokens; 9 frames are 3 latents."""
    checkpoint = small_checkpoint()
    heard = sample("c", 3, height=32, width=32, anchors=1, waveform=torch.zeros(16_000))
    samples = [sample("a", 1, height=32, width=32), sample("b", 2, height=32, width=32, anchors=0), heard, sample("d", 4, height=32, width=32, counted=False)]
    throughput = Throughput(Alone(), 1.0)  # type: ignore[arg-type]
    throughput.count(checkpoint, samples, Conditioner(checkpoint, "cpu")(samples))
    found = throughput.read(times(1.0))
    needed = [checkpoint.transformer.flops((3, 16, 16), *conditions, text_tokens=8, frame_timesteps=True) for conditions in ((3, False), (0, False), (1, True))]
    assert found["samples_per_second"] == 3
    assert found["tokens_per_second"] == (3 + 3 + 3 + 0 + 3 + 1) * 64
    assert found["share_of_peak"] == sum(flops.training() for flops in needed)


def test_a_network_that_looks_at_a_picture_computes_that_too(tmp_path: Path) -> None:
    looking = Checkpoint.load(tiny_wan.image_to_video(tmp_path))
    one = sample(height=32, width=32, anchors=0)
    throughput = Throughput(Alone(), 1.0)  # type: ignore[arg-type]
    throughput.count(looking, [one], batch := Conditioner(looking, "cpu")([one]))
    assert batch.clean.shape[2:] == (3, 4, 4)
    assert looking.image_encoder is not None
    flops = looking.transformer.flops(
        (3, 4, 4),  # of 9 frames of 32x32
        text_tokens=looking.text_encoder.length,
        image_tokens=looking.image_encoder.length,
        frame_timesteps=batch.inputs.timestep.ndim == 2,
    )
    assert throughput.read(times(1.0))["share_of_peak"] == flops.training()


def counted() -> dict[str, float]:
    with Processes.start("cpu") as processes:
        throughput = Throughput(processes, peak=1000.0)
        throughput.add(samples=1 + processes.rank, tokens=100, flops=750.0)
        return throughput.read(times(2.0 + processes.rank, data=1.0, compute=1.0))


def test_ranks_are_summed_and_the_slowest_counts() -> None:
    one, other = on_ranks(2, counted)
    assert one == other
    assert one["samples_per_second"] == 1.0
    assert one["tokens_per_second"] == pytest.approx(200 / 3)
    assert one["share_of_peak"] == pytest.approx(1500 / 3 / 2000)
    assert one["data_wait"] == 0.5
    assert one["overhead"] == pytest.approx(2 / 3)
