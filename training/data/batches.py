"""Which samples a step learns from, and what each rank does of it.

A position is the number of samples that have had their turn since the training began, those that were passed over included. It says all
about where a training is: the steps from it on are the same on any number of ranks and workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.data.order import EpochPlan, Integers, epoch_order, plan_epoch
from training.data.places import Place
from training.errors import TrainingError
from training.options import ShortBatches


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The samples of one optimizer step, over all ranks.

    Attributes:
        epoch: from 0.
        position: before the step.
        rows: of the index; all of one bucket.
        passed_over: samples of short batches that have their turn after this step without being trained on; 0 but at the end of an epoch.
    """

    epoch: int
    position: int
    rows: Integers
    passed_over: int

    @property
    def position_after(self) -> int:
        """Where the training goes on after the step."""
        return self.position + len(self.rows) + self.passed_over


@dataclass(frozen=True, slots=True, eq=False)
class BatchPlan:
    """All steps of a training, made as they are asked for.

    Attributes:
        shard: (N,) of every sample in the index, the number of its shard.
        bucket: (N,) of every sample in the index, a number that stands for its size.
        rows: those that are trained on, ascending.
        seed: of the order.
        batch_size: samples of a step, over all ranks.
        block_shards: shards that are shuffled together.
        short_batches: what becomes of batches that do not get full before the epoch ends.

    Raises:
        TrainingError: there is nothing to train on.
    """

    shard: Integers
    bucket: Integers
    rows: Integers
    seed: int
    batch_size: int
    block_shards: int = 8
    short_batches: ShortBatches = "train"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.block_shards < 1:
            raise TrainingError(f"batch.size and data.block-shards must be 1 or more, not {self.batch_size} and {self.block_shards}")
        if not len(self.rows):
            raise TrainingError("there is no sample to train on; check data.leave-out, validation.share and the shards")
        if self.short_batches == "skip" and not self._full_batches:
            largest = max(self.bucket_counts.values())
            raise TrainingError(
                f"no size bucket fills a batch: the largest has {largest} samples, batch.size is {self.batch_size}, and short batches are skipped; "
                "lower batch.size, or say --data.short-batches train"
            )

    @property
    def epoch_samples(self) -> int:
        """Samples that have their turn in an epoch."""
        return len(self.rows)

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch."""
        return self._full_batches if self.short_batches == "skip" else self._full_batches + len(self.left_over)

    @property
    def bucket_counts(self) -> dict[int, int]:
        """Samples of each bucket."""
        names, counts = np.unique(self.bucket[self.rows], return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    @property
    def left_over(self) -> dict[int, int]:
        """By bucket, the samples that fill no batch, in every epoch as many: the size of its short batch, or what of it is passed over."""
        return {bucket: rest for bucket, count in self.bucket_counts.items() if (rest := count % self.batch_size)}

    @property
    def _full_batches(self) -> int:
        return sum(count // self.batch_size for count in self.bucket_counts.values())

    def epoch(self, number: int) -> EpochPlan:
        """The batches of an epoch, short ones included."""
        order = epoch_order(self.shard, self.rows, self.seed, number, self.block_shards)
        return plan_epoch(order, self.bucket, self.batch_size)

    def steps(self, position: int = 0) -> Iterator[Step]:
        """The steps from a position on, without end.

        Raises:
            TrainingError: no step begins there.
        """
        epoch, inside = divmod(position, self.epoch_samples)
        while True:
            plan = self.epoch(epoch)
            number = int(np.searchsorted(plan.starts, inside))
            if plan.starts[number] != inside:
                raise TrainingError(
                    f"no batch of {self.batch_size} begins at sample {position}: go on with the samples and the batch.size that the training began with"
                )
            yield from self._steps_of(plan, epoch, number)
            epoch, inside = epoch + 1, 0

    def _steps_of(self, plan: EpochPlan, epoch: int, first: int) -> Iterator[Step]:
        stop = plan.full if self.short_batches == "skip" else len(plan)
        for number in range(first, stop):
            passed_over = len(plan.rows) - int(plan.starts[stop]) if number == stop - 1 else 0
            yield Step(epoch, epoch * self.epoch_samples + int(plan.starts[number]), plan.batch(number), passed_over)


def micro_batches(step: Step, rank: int, ranks: int, micro: int) -> list[list[Place]]:
    """What a rank computes of a step: as many micro-batches on every rank, in which each sample of the step is counted on one rank.

    Args:
        step: of all ranks.
        rank: 0..ranks-1; it gets a contiguous share, and shares differ by at most one sample.
        ranks: how many there are.
        micro: samples of a micro-batch, at most.

    Returns:
        Micro-batches of one place or more; of a rank that has none left, a stand-in (``Place.counted`` is False).
    """
    share = step.rows[len(step.rows) * rank // ranks : len(step.rows) * (rank + 1) // ranks]
    largest_share = -(-len(step.rows) // ranks)
    stand_in = Place(step.epoch, int(step.rows[0]), counted=False)
    return [[Place(step.epoch, int(row)) for row in share[start : start + micro]] or [stand_in] for start in range(0, largest_share, micro)]
