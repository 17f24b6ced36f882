"""Meters of a training: where the time goes, and what is computed in it.

They cost microseconds per step. The device is waited for only when they are read, which happens at logged steps.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.distributed as dist
from torch import nn

from model.checkpoint import Checkpoint
from model.flops import FlopCount
from training.conditioning import TrainingBatch
from training.data.sample import TrainingSample
from training.processes import Processes

Part = Literal["data", "encode", "compute", "average", "checkpoint", "log"]
"""Of a step: waiting for samples; pixels, words and sounds to latents; forward, backward and optimizer; moving averages; saving; telling."""

COMPUTED: frozenset[Part] = frozenset({"encode", "compute", "average"})
"""Parts that a GPU does while the program has long gone on: timed on the device."""


@dataclass(frozen=True, slots=True)
class PartTimes:
    """Where the time of some steps went.

    Attributes:
        steps: how many.
        seconds: of all of it, without what was ``StepTimer.apart``.
        parts: seconds of each. On a GPU, those of the program (data, checkpoint, log) may lie beside those of the device: their sum may be above ``seconds``.
    """

    steps: int
    seconds: float
    parts: Mapping[Part, float]

    def share(self, *parts: Part) -> float:
        """0..1 of the time that went into these parts."""
        return min(1.0, sum(self.parts[part] for part in parts) / self.seconds) if self.seconds > 0 else 0.0

    @property
    def overhead(self) -> float:
        """0..1 of the time in which no model was computed: all but encode and compute. While the device computes, what the program does costs nothing."""
        return 1 - self.share("encode", "compute") if self.seconds > 0 else 0.0


class StepTimer:
    """Measures the parts of steps.

    with timer.part("data"):
        batch = next(batches)
    with timer.part("compute"):
        loss.backward()
    timer.step()

    """

    def __init__(self, device: torch.device | str) -> None:
        """Start the clock."""
        self._gpu = torch.device(device).type == "cuda"
        self._host: defaultdict[Part, float] = defaultdict(float)
        self._events: list[tuple[Part, torch.cuda.Event, torch.cuda.Event]] = []
        self._steps, self._apart, self._started = 0, 0.0, time.perf_counter()

    @contextmanager
    def part(self, part: Part) -> Iterator[None]:
        """The block is this part of a step. Parts do not nest."""
        if self._gpu and part in COMPUTED:
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            yield
            end.record()
            self._events.append((part, start, end))
        else:
            began = time.perf_counter()
            yield
            self._host[part] += time.perf_counter() - began

    @contextmanager
    def apart(self) -> Iterator[None]:
        """The block is no part of any step, such as a validation; between steps, and on a GPU it waits for what is still computed."""
        self._synchronize()
        began = time.perf_counter()
        try:
            yield
        finally:
            self._synchronize()
            self._apart += time.perf_counter() - began

    def step(self) -> None:
        """A step is over."""
        self._steps += 1

    def read(self) -> PartTimes:
        """The time since the last look; waits for the device."""
        self._synchronize()
        now = time.perf_counter()
        parts: dict[Part, float] = {part: self._host[part] for part in get_args(Part)}
        for part, start, end in self._events:
            parts[part] += start.elapsed_time(end) / 1000
        times = PartTimes(self._steps, now - self._started - self._apart, parts)
        self._host.clear()
        self._events.clear()
        self._steps, self._apart, self._started = 0, 0.0, now
        return times

    def _synchronize(self) -> None:
        if self._gpu:
            torch.cuda.synchronize()


def trained_share(network: nn.Module) -> float:
    """0..1 of a network's parameters that are trained."""
    parameters = list(network.parameters())
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad) / sum(parameter.numel() for parameter in parameters)


def useful_flops(forward: FlopCount, trained: float) -> float:
    """Operations of forward and backward pass that training needs, about.

    A layer's product costs once more for the gradient of its input, and once more for that of its weights where these are trained. Self-attention's scores have
    no weights: both of their factors are activations. What gradient checkpointing computes again does not count. It is a little too much where only late layers
    are trained, before which no gradient is needed.

    Args:
        forward: of the forward pass.
        trained: 0..1 of the parameters, which stands for the share of the products.
    """
    scores = forward.self_attention_scores
    return 3 * scores + (2 + trained) * (forward.total - scores)


class Throughput:
    """What is computed, over all ranks.

    Attributes:
        peak: floating-point operations per second that one rank's device could do at best; None when that is not known.
        trained: 0..1 of the transformer's parameters.
    """

    def __init__(self, processes: Processes, peak: float | None, trained: float = 1.0) -> None:
        self.peak, self.trained = peak, trained
        self._processes = processes
        self._samples = self._tokens = self._flops = 0.0

    def count(self, checkpoint: Checkpoint, samples: Sequence[TrainingSample], batch: TrainingBatch) -> None:
        """Count a micro-batch of this rank: what its samples need; no stand-ins, and nothing that pads a sample with fewer anchors or no sound.

        Args:
            checkpoint: whose transformer computes.
            samples: of the micro-batch.
            batch: what they became.
        """
        transformer, image_encoder = checkpoint.transformer, checkpoint.image_encoder
        frames, height, width = batch.clean.shape[2:]
        patch = transformer.config.patch_size
        for sample in samples:
            if not sample.counted:
                continue
            anchors = len(sample.anchor_classes)
            forward = transformer.flops(
                (frames, height, width),
                anchors,
                hears=batch.inputs.audio is not None and not (sample.waveform is None and sample.audio_features is None),
                text_tokens=checkpoint.text_encoder.length,
                image_tokens=0 if image_encoder is None else image_encoder.length,
                frame_timesteps=batch.inputs.timestep.ndim == 2,
            )
            tokens = (frames // patch[0] + anchors) * (height // patch[1]) * (width // patch[2])
            self.add(1, tokens, useful_flops(forward, self.trained))

    def add(self, samples: int, tokens: int, flops: float) -> None:
        """Count samples, tokens of video and anchors, and the operations that training on them needs."""
        self._samples += samples
        self._tokens += tokens
        self._flops += flops

    def read(self, times: PartTimes) -> dict[str, float]:
        """Since the last look, in words of the log. All ranks call it together.

        Returns:
            samples_per_second and tokens_per_second of all ranks; seconds_per_step; share_of_peak (MFU), where the peak is known: operations that training
            needs (``useful_flops``) / seconds / peak; data_wait and overhead, shares of the time of the rank
            that has most of it; on a GPU, memory_gigabytes: the most that a rank has held.
        """
        samples, tokens, flops = self._over_ranks([self._samples, self._tokens, self._flops], dist.ReduceOp.SUM)
        self._samples = self._tokens = self._flops = 0.0
        gigabytes = torch.cuda.max_memory_allocated() / 1e9 if self._processes.device.type == "cuda" else 0.0
        data_wait, overhead, seconds, memory = self._over_ranks([times.share("data"), times.overhead, times.seconds, gigabytes], dist.ReduceOp.MAX)
        seconds = max(seconds, 1e-9)
        found = {
            "samples_per_second": samples / seconds,
            "tokens_per_second": tokens / seconds,
            "seconds_per_step": seconds / max(times.steps, 1),
            "data_wait": data_wait,
            "overhead": overhead,
        }
        if self.peak is not None:
            found["share_of_peak"] = flops / seconds / (self.peak * self._processes.ranks)
        if memory:
            found["memory_gigabytes"] = memory
        return found

    def _over_ranks(self, numbers: list[float], operation: dist.ReduceOp.RedOpType) -> list[float]:
        if self._processes.ranks == 1:
            return numbers
        shared = torch.tensor(numbers, dtype=torch.float64)  # on the CPU: a small message past the device's queue
        dist.all_reduce(shared, operation, group=self._processes.control)
        return shared.tolist()
