"""What the model asks of the networks around it. Each has one for the public Wan weights and one that needs no weights at all."""

from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor


class Codec(Protocol):
    """Between pixels and latents, causal in time: the first latent stands for one frame, each later one for ``temporal_factor`` frames.

    Attributes:
        channels: channels of a latent.
        temporal_factor, spatial_factor: frames per latent (but the first), pixels per latent across and down.
    """

    channels: int
    temporal_factor: int
    spatial_factor: int

    @property
    def fingerprint(self) -> str:
        """Which network it is, weights included: what it made may be used in another's place if this is the same."""

    def encode(self, frames: Tensor) -> Tensor:
        """Frames as latents, normalised to about mean 0 and deviation 1.

        Args:
            frames: (B, 3, 1 + n * temporal_factor, H, W), RGB in -1..1; H and W multiples of spatial_factor.

        Returns:
            (B, channels, 1 + n, H / spatial_factor, W / spatial_factor).

        Raises:
            ModelInputError: another number of frames, or a size that does not divide.
        """

    def decode(self, latents: Tensor) -> Tensor:
        """Latents as frames in -1..1, clamped: the inverse of ``encode``, as far as it goes."""

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the weights."""

    def save(self, folder: Path) -> None:
        """Write the folder that ``load`` reads."""


class TextEncoder(Protocol):
    """Prompts as the tokens that every block attends to.

    Attributes:
        dim: size of a token.
        length: tokens per prompt; shorter prompts are padded with zeros (Wan: 512).
    """

    dim: int
    length: int

    @property
    def fingerprint(self) -> str | None:
        """Which network it is, as of a codec; None for one that is trained with the model."""

    def encode(self, prompts: list[str]) -> Tensor:
        """(len(prompts), length, dim)."""

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the weights."""

    def save(self, folder: Path) -> None:
        """Write the folder that ``load`` reads."""


class ImageEncoder(Protocol):
    """A picture as the tokens that the image-to-video layout of Wan 2.1 attends to (CLIP).

    Attributes:
        dim: size of a token (1280).
        length: tokens per picture (257).
    """

    dim: int
    length: int

    @property
    def fingerprint(self) -> str:
        """Which network it is, weights included: what it made may be used in another's place if this is the same."""

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), RGB in -1..1, as (B, length, dim)."""

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the weights."""

    def save(self, folder: Path) -> None:
        """Write the folder that ``load`` reads."""
