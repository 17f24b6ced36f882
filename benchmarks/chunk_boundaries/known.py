"""A denoiser whose answer is known: the mean of all drawn videos that what it sees can come from.

It makes no errors that a network makes. What is seen of a boundary in its videos comes from the loop: frames given in a wrong order, noise where there should
be none, a codec that loses something.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks.chunk_boundaries.drawn import Colours, at
from model.conditions.protocols import Codec
from model.flow import TIMESTEPS

STARTS_PER_PIXEL = 4
TOLERANCE = 0.05
"""Deviation that given latents may have from drawn ones: a codec may have lost something."""


class KnownVelocity:
    """Stands where the network does; knows the colours, not where the disc is.

    Attributes:
        config, dtype: what the loop asks a network for.
    """

    def __init__(self, shown: Colours, codec: Codec, latents: int, side: int) -> None:
        starts = torch.arange(side * STARTS_PER_PIXEL)[:, None] / STARTS_PER_PIXEL
        colour = Colours(shown.disc.expand(len(starts), -1), shown.background.expand(len(starts), -1))
        factor = codec.temporal_factor
        frames = at(colour, starts, 1 + factor * latents, side)
        # latent 0 is a video's first, or one from the middle of a video
        clean = torch.cat([codec.encode(frames[:, :, factor:]), codec.encode(frames)[:, :, 1:]])
        self._shape = (clean.shape[1], *clean.shape[3:])
        self._clean = clean.transpose(1, 2).flatten(2).double()  # video, latent frame, what is in it
        self._sizes = self._clean.square().sum(2)
        channels = codec.channels
        self.config: Any = SimpleNamespace(in_channels=channels, out_channels=channels, anchor_timestep="zero")
        self.dtype = torch.float32

    def __call__(self, hidden: Tensor, times: Tensor, *_: object, **__: object) -> tuple[Tensor]:
        """The velocity of latents (1, C, F, h, w) at times (1,) or (1, F)."""
        sigma = (times / TIMESTEPS).expand(1, hidden.shape[2])[0]
        deviation, level = sigma.clamp(min=TOLERANCE).double(), (1 - sigma).double()
        seen = hidden[0].transpose(0, 1).flatten(1).double()
        products = torch.einsum("nfd,fd->nf", self._clean, seen)
        # the squared distances of what is seen from every video, but for what they have in common
        away = ((level.square() * self._sizes - 2 * level * products) / deviation.square()).sum(1)
        mean = torch.einsum("n,nfd->fd", (-away / 2).softmax(0), self._clean)
        velocity = (seen - mean) / deviation[:, None]
        return (velocity.unflatten(1, self._shape).transpose(0, 1)[None].float(),)
