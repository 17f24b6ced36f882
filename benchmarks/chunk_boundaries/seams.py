"""How much pictures change from one frame to the next, at the boundaries between chunks and inside chunks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.generate.plan import ChunkPlan

TARGET = 1.2
"""The change at a boundary may be so many times that inside chunks."""


@dataclass(frozen=True, slots=True)
class Seams:
    """Mean absolute differences between neighbouring frames, of values in -1..1.

    Attributes:
        boundary: from the last frame that two chunks share to the first that only the later one has made.
        overlap: between frames that two chunks share, and into the first of them; where frames are blended, it is here.
        inside: all others.
        between_latents: those of them that lie between two latents, as every boundary does.
        boundaries: how many were measured.
    """

    boundary: float
    overlap: float
    inside: float
    between_latents: float
    boundaries: int

    @property
    def ratio(self) -> float:
        """The larger of boundary and overlap, over inside."""
        return max(self.boundary, self.overlap) / self.inside

    @property
    def like_for_like(self) -> float:
        """Boundary over what lies between two latents inside chunks: less than 1 where every latent begins with a little jump of its own."""
        return self.boundary / self.between_latents

    @property
    def is_met(self) -> bool:
        return self.ratio <= TARGET


def differences(frames: Tensor) -> Tensor:
    """(T - 1,) of frames (3, T, H, W); number i is from frame i to frame i + 1."""
    return (frames[:, 1:] - frames[:, :-1]).abs().mean((0, 2, 3))


def measure(videos: Sequence[Tensor], plan: ChunkPlan) -> Seams:
    """Over all videos, each counted alike for each of its frames."""
    changes = torch.stack([differences(video) for video in videos]).double()
    chunks = list(plan)[1:]
    boundaries = torch.tensor([chunk.new.start - 1 for chunk in chunks])
    overlaps = torch.tensor([frame - 1 for chunk in chunks for frame in range(chunk.first, chunk.new.start)])
    rest = torch.ones(changes.shape[1], dtype=torch.bool)
    rest[boundaries] = rest[overlaps] = False
    between = rest & (torch.arange(changes.shape[1]) % plan.temporal_factor == 0)
    boundary, overlap, inside, between_latents = (float(changes[:, chosen].mean()) for chosen in (boundaries, overlaps, rest, between))
    return Seams(boundary, overlap, inside, between_latents, len(chunks) * len(videos))
