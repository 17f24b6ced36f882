"""Samples with different numbers of anchors in one batch: padded, with a mask of what is real."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.errors import ModelInputError
from model.positions import AnchorClass, Positions


class SampleAnchors(NamedTuple):
    """The anchors of one sample.

    Attributes:
        latents: (C, K, h, w) in the network's channels (``Layout.anchors``); None for a sample without anchors.
        classes: what each of the K shows.
    """

    latents: Tensor | None
    classes: Sequence[AnchorClass]


class AnchorBatch(NamedTuple):
    """What ``AnchorWanTransformer3DModel.forward`` takes.

    Attributes:
        anchors: (B, C, K, h, w) with the largest K; zeros where a sample has fewer. None when no sample has any.
        anchor_positions: (B, K) float64.
        anchor_mask: (B, K) bool, True where there is an anchor; None when all samples have K.
    """

    anchors: Tensor | None
    anchor_positions: Tensor | None
    anchor_mask: Tensor | None


def pad_anchors(samples: Sequence[SampleAnchors], positions: Positions) -> AnchorBatch:
    """Put the anchors of several samples into one batch.

    Args:
        samples: of the batch, in order.
        positions: where the network's anchors stand.

    Raises:
        ModelInputError: anchors of different sizes or channels, more or fewer latents than classes, or too many of one class.
    """
    given = [sample.latents for sample in samples if sample.latents is not None and sample.latents.shape[1]]
    if not given:
        return AnchorBatch(None, None, None)
    shapes = sorted({(latents.shape[0], *latents.shape[2:]) for latents in given})
    if len(shapes) > 1:
        raise ModelInputError(f"the anchors of a batch must have one size, not {' and '.join(map(str, shapes))} (channels, height, width)")
    channels, height, width = shapes[0]
    counts = [0 if sample.latents is None else sample.latents.shape[1] for sample in samples]
    anchors = given[0].new_zeros(len(samples), channels, max(counts), height, width)
    places = torch.zeros(len(samples), max(counts), dtype=torch.float64)
    for row, (sample, count) in enumerate(zip(samples, counts, strict=True)):
        if count != len(sample.classes):
            raise ModelInputError(f"sample {row} of the batch has {count} anchors and {len(sample.classes)} classes; give one class per anchor")
        if sample.latents is not None and count:
            anchors[row, :, :count] = sample.latents
            try:
                places[row, :count] = torch.tensor(positions.of(sample.classes), dtype=torch.float64)
            except ValueError as error:
                raise ModelInputError(f"sample {row} of the batch: {error}") from error
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    device = anchors.device
    return AnchorBatch(anchors, places.to(device), None if bool(mask.all()) else mask.to(device))
