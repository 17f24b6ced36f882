"""Looking at what was held out: its loss, and pictures of what the network makes of its conditions, with the averaged weights."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from model.generate.denoise import Guidance
from model.sampler import SamplerOptions
from training.conditioning import Conditioner
from training.data.dataset import ShardDataset
from training.data.loader import micro_batches
from training.data.places import Place
from training.ema import MovingAverage
from training.log import TrainingLog
from training.loss_curve import NAME as LOSS_CURVE
from training.loss_curve import draw_loss_curve
from training.metrics import NAME as METRICS
from training.network import TrainedNetwork
from training.pictures import draw_samples, write_sheet
from training.processes import Processes
from training.validation import places_of_rank, validate


@dataclass(frozen=True, slots=True)
class Validator:
    """What is looked at, and how.

    Attributes:
        dataset: reads samples with all their conditions.
        rows: of the index, those that are looked at; the first ``pictures`` of them are drawn.
        held_out: they are never trained on. Where nobody is held out, samples of the training are drawn, and no loss is told.
        levels: noise levels.
        pictures: samples to draw.
        sampling, guidance: how they are drawn.
        workers: processes per rank that read.
    """

    dataset: ShardDataset
    rows: list[int]
    held_out: bool
    levels: list[float]
    pictures: int
    sampling: SamplerOptions
    guidance: Guidance
    workers: int
    conditioner: Conditioner
    processes: Processes
    precision: torch.dtype
    log: TrainingLog
    out: Path

    def look(self, step: int, network: TrainedNetwork, average: MovingAverage | None) -> None:
        """Tell the loss and draw the pictures. All ranks call it together.

        Raises:
            TrainingError: none of the samples could be read.
        """
        with nullcontext() if average is None else average.swapped_in():
            if self.held_out:
                places = places_of_rank(self.rows, self.processes.rank, self.processes.ranks)
                batches = micro_batches(self.dataset, places, self.workers, prefetch=2)
                tell_skipped = partial(self.log.skipped, step)
                found = validate(network, self.conditioner, batches, self.levels, self.processes, self.precision, tell_skipped)
                self.log.validation(step, found)
            self._draw(step, network)
        if self.processes.main:
            draw_loss_curve(self.out / METRICS, self.out / LOSS_CURVE)

    def _draw(self, step: int, network: TrainedNetwork) -> None:
        places = [[Place(0, row)] for row in self.rows[: self.pictures]]
        batches = list(micro_batches(self.dataset, places, 0, prefetch=2))
        if not self.held_out:  # else the validation has told of them
            self.log.skipped(step, [one for batch in batches for one in batch.skipped])
        samples = [sample for batch in batches for sample in batch.samples if sample.counted]
        if not samples:
            return
        drawn = draw_samples(network, self.conditioner, samples, self.sampling, self.guidance, self.precision)
        if self.processes.main:
            self.log.picture(step, "samples", write_sheet(drawn, self.out, step, self.held_out))
