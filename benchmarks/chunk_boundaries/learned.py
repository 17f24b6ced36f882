"""Whether the network has learned what it was to learn: to go on with what it is given, in the colours it was shown."""

from dataclasses import dataclass

import torch

from benchmarks.chunk_boundaries.drawn import clips, colours, row
from benchmarks.chunk_boundaries.generated import makes
from benchmarks.chunk_boundaries.training import Trained, codec

CLIPS, GIVEN = 8, 2
ENOUGH = 0.5
"""The network's error may be so much of what standing still gives."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Mean absolute errors of values in -1..1, over the frames of clips that were not given.

    Attributes:
        continued: of the network, when the first two latents are given.
        stood_still: of repeating the last frame that was given.
    """

    continued: float
    stood_still: float

    @property
    def is_enough(self) -> bool:
        """Whether the videos can show anything: in those of a network that makes noise, no boundary is seen."""
        return self.continued < ENOUGH * self.stood_still


@torch.no_grad()
def learned(trained: Trained) -> Learned:
    """Continue drawn clips that were not trained on, and compare with how they do go on."""
    generator = torch.Generator().manual_seed(trained.options.seed + 2)
    pixels, options = codec(), trained.options
    shown = colours(CLIPS, generator)
    frames = clips(shown, 1 + pixels.temporal_factor * (options.latents - 1), options.side, generator)
    made = []
    for number in range(CLIPS):
        clean = pixels.encode(frames[number : number + 1])
        make = makes(trained, row(shown, number), pixels)
        made.append(pixels.decode(make(torch.randn(clean.shape, generator=generator), GIVEN, clean[:, :, :GIVEN])))
    new = 1 + pixels.temporal_factor * (GIVEN - 1)
    continued = (torch.cat(made) - frames)[:, :, new:].abs().mean()
    stood_still = (frames[:, :, new - 1 : new] - frames[:, :, new:]).abs().mean()
    return Learned(float(continued), float(stood_still))
