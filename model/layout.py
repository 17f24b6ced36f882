"""How clean and noisy latents become the network's input: which channels, and which time.

Wan has two ways to be told that a frame is given.

*In place* (text-to-video, 16 channels; text-and-image-to-video 5B, 48 channels): the clean latent stands where the noise would, and its
frame is at timestep 0. The 5B is trained so; the text-to-video weights learn it with us.

*Beside* (image-to-video, 36 channels): the 16 noisy channels, then 4 channels of mask (one for each frame that the latent stands for: 1 is
given, 0 is not), then 16 channels of condition, the latents of the given frames followed by grey. All frames share one timestep.

An anchor is a given frame in either way: its clean latent in the noisy channels, and beside, a mask of ones and its own latent again as
condition. So it looks to the network exactly as the first frame of an image-to-video sample does at timestep 0, which is what the weights
have learned to trust, and nothing new has to be learned to read it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.conditions.protocols import Codec
from model.errors import ModelInputError


@dataclass(frozen=True, slots=True)
class Layout:
    """Channels of a network's input.

    Attributes:
        latent_channels: of the codec, and of the network's output.
        mask_channels: 0 when given frames stand in place; else frames per latent.
    """

    latent_channels: int
    mask_channels: int

    @classmethod
    def of(cls, config: Any, codec: Codec) -> "Layout":
        """The layout of a network with this configuration.

        Raises:
            ModelInputError: network and codec do not belong together.
        """
        latent, extra = config.out_channels, config.in_channels - config.out_channels
        if latent != codec.channels:
            raise ModelInputError(f"the network makes {latent} channels of latents, the codec has {codec.channels}; take the one it was trained with")
        if extra not in {0, latent + codec.temporal_factor}:
            raise ModelInputError(f"a network with {config.in_channels} input and {latent} output channels is neither text- nor image-to-video of Wan")
        return cls(latent, extra - latent if extra else 0)

    @property
    def beside(self) -> bool:
        """Given frames are told by further channels."""
        return self.mask_channels > 0

    def anchors(self, latents: Tensor) -> Tensor:
        """Anchors' latents (B, C, K, h, w) as the network takes them."""
        if not self.beside:
            return latents
        given = latents.new_ones(latents.shape[0], self.mask_channels, *latents.shape[2:])
        return torch.cat([latents, given, latents], dim=1)

    def video(self, noisy: Tensor, timestep: Tensor, given: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """A chunk of video as the network takes it.

        Args:
            noisy: (B, C, F, H, W) latents on the way from noise to data.
            timestep: (B,) where they are on it, 0 to 1000.
            given: (B, F) bool, the latent frames that are given; always the first ones.
            condition: (B, C, F, H, W) clean latents of the given frames; what the others hold matters only beside, where it is ``condition``'s.

        Returns:
            hidden states (B, in_channels, F, H, W) and timestep, (B,) or (B, F).

        Raises:
            ModelInputError: frames are said to be given, but not which.
        """
        if condition is None and (bool(given.any()) or self.beside):
            raise ModelInputError("this network needs the latents of the given frames, or of grey where none is given")
        if not self.beside:
            return (noisy, timestep) if condition is None else self._in_place(noisy, timestep, given, condition)
        assert condition is not None
        mask = given[:, None, :, None, None].to(noisy).expand(-1, self.mask_channels, -1, *noisy.shape[3:])
        return torch.cat([noisy, mask, condition.to(noisy)], dim=1), timestep

    @staticmethod
    def _in_place(noisy: Tensor, timestep: Tensor, given: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        clean = given[:, None, :, None, None]
        return torch.where(clean, condition.to(noisy), noisy), timestep[:, None] * ~given


def grey_condition(codec: Codec, frames: Tensor, latents: int) -> Tensor:
    """Latents of given frames followed by grey, as image-to-video weights know their condition (diffusers' WanImageToVideoPipeline).

    Args:
        codec: pixels to latents.
        frames: (B, 3, 1 + n * temporal_factor, H, W), -1..1; the given frames.
        latents: latent frames of the chunk.

    Returns:
        (B, C, latents, h, w).

    Raises:
        ModelInputError: more frames are given than the chunk has.
    """
    batch, _, given, height, width = frames.shape
    total = 1 + (latents - 1) * codec.temporal_factor
    if given > total:
        raise ModelInputError(f"{given} frames are given, but a chunk of {latents} latents has only {total}; give fewer or make chunks longer")
    return codec.encode(torch.cat([frames, frames.new_zeros(batch, 3, total - given, height, width)], dim=2))
