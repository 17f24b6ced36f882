"""What a running training consists of, and what happens to it between steps: telling, validating, saving."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from training.checkpoints import Checkpoints
from training.conditioning import Conditioner, TrainingBatch
from training.data.batches import BatchPlan, Step
from training.data.sample import MicroBatch, Skipped, TrainingSample
from training.data.selection import Selection
from training.ema import MovingAverage
from training.learned import Learned
from training.log import TrainingLog
from training.meters import StepTimer, Throughput
from training.metrics import NAME as METRICS
from training.metrics import read
from training.network import TrainedNetwork
from training.options import TrainingOptions
from training.processes import Processes
from training.state import TrainingState
from training.validator import Validator


@dataclass(slots=True)
class Progress:
    """Where a training stands; all of it is in its checkpoints.

    Attributes:
        step: optimizer steps that are done.
        position: samples that have had their turn; see ``training.data.batches``.
        learned: samples that were learned from.
        skipped: those that could not be read or were left out.
        passed_over: those of short batches, where such are skipped.
        untold: steps since the last line of metrics; the next one is their means, wherever the training was cut off between.
        loss_sum, gradient_norm_sum: over these.
    """

    step: int = 0
    position: int = 0
    learned: int = 0
    skipped: int = 0
    passed_over: int = 0
    untold: int = 0
    loss_sum: float = 0.0
    gradient_norm_sum: float = 0.0

    def advance(self, turn: Step, learned: int) -> None:
        """A step is done that learned from so many of its samples."""
        self.step += 1
        self.position = turn.position_after
        self.learned += learned
        self.skipped += len(turn.rows) - learned
        self.passed_over += turn.passed_over

    def note(self, loss: float, gradient_norm: float) -> None:
        """What the step was like, for the means."""
        self.untold += 1
        self.loss_sum += loss
        self.gradient_norm_sum += gradient_norm

    def means(self) -> dict[str, float]:
        """Over the steps since this was last asked."""
        means = {"loss": self.loss_sum / self.untold, "gradient_norm": self.gradient_norm_sum / self.untold}
        self.untold, self.loss_sum, self.gradient_norm_sum = 0, 0.0, 0.0
        return means

    @property
    def counts(self) -> dict[str, float]:
        """Of samples, as a line of metrics says them."""
        return {name: float(getattr(self, name)) for name in ("position", "learned", "skipped", "passed_over")}


@dataclass(slots=True)
class Parts:
    """Everything that the loop works with.

    Attributes:
        options, out, processes, precision: as chosen.
        network: what is trained, under its own name.
        model: the same as the loop calls it: wrapped by DDP, or not.
        trained: parameters that are trained, by name.
        optimizer, schedule: of these.
        average: of these; None when none is kept.
        conditioner: from samples to batches.
        selection, plan: which samples, and whose turn it is.
        samples: this rank's micro-batches, in the order of the plan, from where the training stands.
        checkpoints, state: saving.
        validator: None without validation.
        log, timer, throughput: telling.
        progress: where it stands.
        stop_asked: a signal came.
    """

    options: TrainingOptions
    out: Path
    processes: Processes
    precision: torch.dtype
    network: TrainedNetwork
    model: nn.Module
    trained: dict[str, nn.Parameter]
    optimizer: AdamW
    schedule: LRScheduler
    average: MovingAverage | None
    conditioner: Conditioner
    selection: Selection
    plan: BatchPlan
    samples: Iterator[MicroBatch]
    checkpoints: Checkpoints
    state: TrainingState
    validator: Validator | None
    log: TrainingLog
    timer: StepTimer
    throughput: Throughput
    progress: Progress
    stop_asked: bool = False

    def introduce(self) -> None:
        """What is about to be trained, on what."""
        index, trained = self.selection.index, sum(parameter.numel() for parameter in self.trained.values())
        frozen = sum(parameter.numel() for parameter in self.network.parameters()) - trained
        characters = len(set(index.character_id[self.selection.trained].tolist()))
        self.log.say(
            f"{trained:,} parameters are trained ({', '.join(self.options.trained)}), {frozen:,} are frozen; "
            f"{self.processes.ranks} x {self.processes.device.type}, {str(self.precision).removeprefix('torch.')}"
        )
        self.log.say(
            f"{len(self.selection.trained):,} samples of {characters:,} characters, read as {'latents' if self.selection.use_latents else 'pixels'}; "
            f"{len(self.selection.validated):,} are held out; {self.plan.epoch_steps:,} steps per epoch"
        )
        for number, count in self.plan.bucket_counts.items():
            rest = self.plan.left_over.get(number, 0)
            becomes = "are a short batch" if self.options.data.short_batches == "train" else "are passed over"
            self.log.say(f"  {self.selection.buckets[number]}: {count:,} samples" + (f", of which {rest:,} {becomes} at the end of an epoch" if rest else ""))
        if self.progress.step >= self.options.steps:
            self.log.say(f"all {self.options.steps:,} steps are done already: there is nothing to do")
        elif self.progress.step:
            self.log.say(f"going on after step {self.progress.step:,}")

    def count(self, samples: Sequence[TrainingSample], batch: TrainingBatch) -> None:
        """Count what training on a micro-batch takes."""
        self.throughput.count(self.conditioner.checkpoint, samples, batch)

    def tell(self, learned: Learned) -> None:
        """What the step was like, at every so-manieth of them."""
        step = self.progress.step
        self.progress.note(learned.loss, learned.gradient_norm)
        self.log.advance(step)
        if not self.log.due(step):
            return
        told = self.progress.means() | {"rate": learned.rate} | self.throughput.read(self.timer.read())
        with self.timer.part("log"):
            self.log.metrics(step, told | {"epoch": self.progress.position / self.plan.epoch_samples} | self.progress.counts)

    def tell_skipped(self, skipped: Sequence[Skipped]) -> None:
        """Samples that were not learned from, by name; those of all ranks, where there may be any."""
        may_be = self.options.data.skip_damaged or self.options.data.leave_out
        if not may_be:
            return
        everybody = self.processes.gather(list(skipped)) if self.processes.ranks > 1 else [skipped]
        self.log.skipped(self.progress.step + 1, [one for each in everybody for one in each])

    @property
    def validation_due(self) -> bool:
        """Whether it is time to look at what was held out."""
        step, every = self.progress.step, self.options.validation.every
        return self.validator is not None and (step % every == 0 or step == self.options.steps)

    @property
    def validation_owed(self) -> bool:
        """Whether the training was cut off after a step was saved and before its validation was told. All ranks have to ask."""
        step = self.progress.step
        if step == 0 or self.validator is None or not self.validator.held_out or not self.validation_due:
            return False
        told = self.processes.main and any(line["kind"] == "validation" and line["step"] == step for line in read(self.out / METRICS))
        return not self.processes.from_main(told)

    def validate(self) -> None:
        """Loss and pictures of held-out samples, with the averaged weights."""
        assert self.validator is not None
        with self.timer.apart():
            self.validator.look(self.progress.step, self.network, self.average)

    @property
    def checkpoint_due(self) -> bool:
        """Whether it is time to save."""
        step, every = self.progress.step, self.options.checkpoint.every
        return step % every == 0 or step == self.options.steps

    def save(self) -> None:
        """Save where the training stands; it is written beside the next steps, unless it was said to wait."""
        with self.timer.part("checkpoint"):
            self.checkpoints.save(self.progress.step, self.state.capture(asdict(self.progress)), self.options.checkpoint.wait)
