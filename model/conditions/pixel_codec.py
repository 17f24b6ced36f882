"""A codec without weights: pixels moved into channels. For tests, demos and ablations on a CPU."""

from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from model.component_config import read_settings, write_config
from model.conditions.shapes import RGB, check_frames, check_latents
from model.errors import ModelInputError
from model.network_fingerprint import network_fingerprint

SCALE = 2.0
"""Pixels in -1..1 deviate from their mean by about .5, latents should by about 1. A power of two, so that nothing is rounded."""


class PixelUnshuffleCodec:
    """Latents are blocks of temporal_factor x spatial_factor x spatial_factor pixels; what is encoded comes back bit for bit.

    It is causal as Wan's VAE is: the first latent is the first frame, repeated until it fills a block. When decoded, the first latent
    gives the last frame of its block. For a latent that was encoded first all frames of the block are the same; where the latents of
    one chunk are the first of the next, the latent stood for several frames, and the last of them is the one that the next chunk starts
    with.

    Latents are float32 on the device that ``to`` names, at the start the CPU. Channels are ordered colour, frame, row, column.
    """

    def __init__(self, spatial_factor: int = 8, temporal_factor: int = 4) -> None:
        """Choose the size of a block.

        Raises:
            ModelInputError: a factor below 1.
        """
        if min(spatial_factor, temporal_factor) < 1:
            raise ModelInputError(f"a codec's factors must be 1 or more, not {spatial_factor} in space and {temporal_factor} in time")
        self.spatial_factor = spatial_factor
        self.temporal_factor = temporal_factor
        self.channels = RGB * temporal_factor * spatial_factor**2
        self._device = torch.device("cpu")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From a folder written by ``save``.

        Raises:
            ModelInputError: not there, or another codec's.
        """
        settings = read_settings(folder, "PixelUnshuffleCodec")
        try:
            return cls(int(settings["spatial_factor"]), int(settings["temporal_factor"]))
        except KeyError as error:
            raise ModelInputError(f"the config.json of {folder} lacks {error}; write the folder again") from error

    def save(self, folder: Path) -> None:
        """Write config.json."""
        write_config(folder, "PixelUnshuffleCodec", spatial_factor=self.spatial_factor, temporal_factor=self.temporal_factor)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the sizes of a block: there is nothing else to it."""
        return network_fingerprint(self, {"spatial_factor": self.spatial_factor, "temporal_factor": self.temporal_factor})

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:  # noqa: ARG002  (there are no weights to convert)
        """Where latents and frames are to be."""
        self._device = torch.device(device)
        return self

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, 1 + n * temporal_factor, H, W) in -1..1 as latents (B, channels, 1 + n, H / spatial_factor, W / spatial_factor).

        Raises:
            ModelInputError: another number of frames, or a size that does not divide.
        """
        check_frames(frames, self.temporal_factor, self.spatial_factor)
        frames = frames.to(self._device, torch.float32)
        frames = torch.cat([frames[:, :, :1].expand(-1, -1, self.temporal_factor - 1, -1, -1), frames], dim=2)
        f, s = self.temporal_factor, self.spatial_factor
        blocks = frames.unflatten(4, (-1, s)).unflatten(3, (-1, s)).unflatten(2, (-1, f))  # B 3 n f h s w s
        return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4).contiguous() * SCALE

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, channels, 1 + n, h, w) as frames (B, 3, 1 + n * temporal_factor, H, W) in -1..1, clamped.

        Raises:
            ModelInputError: another number of channels.
        """
        check_latents(latents, self.channels)
        f, s = self.temporal_factor, self.spatial_factor
        blocks = latents.to(self._device, torch.float32).unflatten(1, (RGB, f, s, s))  # B 3 f s s n h w
        frames = blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)
        return (frames[:, :, f - 1 :] / SCALE).clamp(-1, 1)
