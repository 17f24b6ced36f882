"""The loss on samples of characters that are never trained on, at noise levels that stay the same.

A training loss is of other samples at other noise levels in every step, and scatters accordingly. Here each sample is looked at with the same anchors and the
same noise every time, at one level in the middle of each quantile of the training's distribution, so that what changes is the network.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from math import fsum

import torch
from torch import nn

from model.flow import SigmaDistribution
from training.conditioning import Conditioner
from training.data.places import Place
from training.data.sample import MicroBatch, Skipped, TrainingSample
from training.errors import TrainingError
from training.loss import velocity_losses
from training.metrics import LEVEL_NAME
from training.options import AugmentOptions, TrainingOptions
from training.parallel import precise
from training.processes import Processes


def as_held_out(options: TrainingOptions) -> TrainingOptions:
    """The options by which held-out samples are drawn: with all their conditions, and anchors as they are."""
    return replace(options, loss=replace(options.loss, drop_text=0.0, drop_audio=0.0, drop_anchors=0.0), augment=AugmentOptions())


def chosen_rows(keys: Sequence[str], rows: Iterable[int], most: int) -> list[int]:
    """At most so many of the held-out rows, in the order of a hash of their keys: a mixture of shards and characters, of which few change when data is added.

    Args:
        keys: of all samples, by row.
        rows: held out.
        most: how many are wanted.
    """
    return sorted((int(row) for row in rows), key=lambda row: blake2b(keys[row].encode()).digest())[:most]


def places_of_rank(rows: Sequence[int], rank: int, ranks: int) -> list[list[Place]]:
    """What a rank looks at: every so-manieth row, one at a time, and stand-ins where other ranks have one more."""
    own = [[Place(0, row)] for row in rows[rank::ranks]]
    missing = -(-len(rows) // ranks) - len(own)
    return own + [[Place(0, rows[0], counted=False)] for _ in range(missing)]


def noise_levels(sigmas: SigmaDistribution, quantiles: int) -> list[float]:
    """The middle of each quantile of the training's noise levels, from data to noise."""
    return sigmas.at_quantile((torch.arange(quantiles, dtype=torch.float64) + 0.5) / quantiles).tolist()


@torch.no_grad()
def validate(
    network: nn.Module,
    conditioner: Conditioner,
    batches: Iterable[MicroBatch],
    levels: Sequence[float],
    processes: Processes,
    precision: torch.dtype,
    tell_skipped: Callable[[Sequence[Skipped]], None],
) -> dict[str, float]:
    """The loss by noise level. All ranks call it together, each with its own samples; all get the same, and for the same samples it is that of one rank.

    Args:
        network: as the loss takes it, with the weights that are to be judged.
        conditioner: of the training.
        batches: of the places of this rank.
        levels: see ``noise_levels``.
        processes: who takes part.
        precision: of matrix products.
        tell_skipped: is given the samples of all ranks that could not be read, once, on each rank.

    Returns:
        loss: the mean over samples and levels; samples: how many could be read; loss_sigma_0.6134 and so on: the mean at each level.

    Raises:
        TrainingError: no sample could be read.
    """
    was_training = network.training
    network.eval()
    here: list[tuple[bool, list[float]]] = []
    skipped: list[Skipped] = []
    try:
        for batch in batches:
            skipped += batch.skipped
            here += [(sample.counted, _losses(network, conditioner, sample, levels, precision)) for sample in batch.samples]
    finally:
        network.train(was_training)
    everybody = processes.gather((here, skipped))
    tell_skipped([one for _, of_rank in everybody for one in of_rank])
    losses = [each for of_rank, _ in everybody for counted, each in of_rank if counted]
    if not losses:
        raise TrainingError(
            "none of the samples that are held out for validation could be read; what was skipped says why. Repair them, hold out others "
            "(--validation.characters), or go without (--validation.share 0)"
        )
    # fsum is exact: the order, which depends on the ranks, does not matter
    by_level = [fsum(each[number] for each in losses) / len(losses) for number in range(len(levels))]
    named = {loss_name(level): loss for level, loss in zip(levels, by_level, strict=True)}
    return {"loss": fsum(by_level) / len(by_level), "samples": len(losses)} | named


def loss_name(level: float) -> str:
    """What the loss at a noise level is called."""
    return f"{LEVEL_NAME}{level:.4f}"


def _losses(network: nn.Module, conditioner: Conditioner, sample: TrainingSample, levels: Sequence[float], precision: torch.dtype) -> list[float]:
    """One level at a time: more would need more memory than a step with a micro-batch of one."""
    losses, sample = [], conditioner.encoded(sample)
    for level in levels:
        batch = conditioner([sample], sigma=torch.tensor([level]), given=0)
        with precise(precision, conditioner.device):
            losses.append(velocity_losses(network, batch))
    return torch.cat(losses).tolist()
