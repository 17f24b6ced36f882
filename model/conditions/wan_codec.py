"""Wan's own VAE as a codec: that of Wan 2.1 (16 channels, 8 times smaller) and that of Wan 2.2 (48 channels, 16 times smaller)."""

from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from model.conditions.shapes import check_frames, check_latents
from model.errors import ModelInputError
from model.network_fingerprint import network_fingerprint
from model.pretrained import load_frozen

FRAMES_AT_ONCE = 4
"""Frames that diffusers' encoder takes for each latent but the first, whatever the config says."""


class WanCodec:
    """A frozen AutoencoderKLWan.

    A clip is encoded as the mode of the posterior, not a sample of it: an anchor has one latent, and the same video always gives the
    same. Each channel is then normalised with the mean and deviation in the VAE's config, in float32. Results lie on the VAE's device
    and are float32 whatever its precision.
    """

    def __init__(self, vae: Any) -> None:
        """Take over a VAE: it is put into evaluation mode and frozen.

        Args:
            vae: an AutoencoderKLWan.

        Raises:
            ModelInputError: its config contradicts itself.
        """
        config = vae.config
        self.channels: int = config.z_dim
        self.temporal_factor, self.spatial_factor = _factors(config)
        if not len(config.latents_mean) == len(config.latents_std) == self.channels:
            raise ModelInputError(
                f"the VAE's config has {self.channels} channels (z_dim) but {len(config.latents_mean)} latents_mean and "
                f"{len(config.latents_std)} latents_std; give as many as channels"
            )
        self._vae = vae.eval().requires_grad_(False)
        self._mean = torch.tensor(config.latents_mean, dtype=torch.float32).view(1, -1, 1, 1, 1)
        self._std = torch.tensor(config.latents_std, dtype=torch.float32).view(1, -1, 1, 1, 1)

    @classmethod
    def load(cls, folder: Path, dtype: torch.dtype | None = None) -> Self:
        """From the vae/ of a diffusers folder.

        Args:
            folder: config.json and weights.
            dtype: of the weights; float32 when None.

        Raises:
            ModelInputError: not there, not an AutoencoderKLWan, or incomplete.
        """
        return cls(load_frozen(AutoencoderKLWan, folder, "AutoencoderKLWan", dtype=dtype or torch.float32))

    def save(self, folder: Path) -> None:
        """Write the folder that ``load`` and diffusers read."""
        self._vae.save_pretrained(folder)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the VAE's configuration and weights, as they were when it was first asked for."""
        return network_fingerprint(self, self._vae.config, self._vae.state_dict())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the weights."""
        self._vae.to(device=device, dtype=dtype or self._vae.dtype)
        return self

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, 1 + n * temporal_factor, H, W) in -1..1 as normalised latents (B, channels, 1 + n, H / spatial_factor, W / spatial_factor).

        Raises:
            ModelInputError: another number of frames, or a size that does not divide.
        """
        check_frames(frames, self.temporal_factor, self.spatial_factor)
        latents = self._vae.encode(frames.to(self._vae.device, self._vae.dtype)).latent_dist.mode().float()
        return (latents - self._mean.to(latents.device)) / self._std.to(latents.device)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents (B, channels, 1 + n, h, w) as frames (B, 3, 1 + n * temporal_factor, H, W) in -1..1, clamped.

        Raises:
            ModelInputError: another number of channels.
        """
        check_latents(latents, self.channels)
        latents = latents.to(self._vae.device, torch.float32)
        raw = latents * self._std.to(latents.device) + self._mean.to(latents.device)
        frames: Tensor = self._vae.decode(raw.to(self._vae.dtype)).sample
        return frames.float().clamp(-1, 1)


def _factors(config: Any) -> tuple[int, int]:
    """Frames per latent and pixels per latent as the config says, checked against its layers: no later error would tell of a wrong one."""
    temporal, spatial = config.scale_factor_temporal or FRAMES_AT_ONCE, config.scale_factor_spatial
    built = 2 ** sum(config.temperal_downsample), 2 ** (len(config.dim_mult) - 1) * (config.patch_size or 1)
    spatial = spatial or built[1]
    if (temporal, spatial) != built:
        raise ModelInputError(
            f"the VAE's config says {temporal} frames and {spatial} pixels per latent, but its layers make {built[0]} and {built[1]}; "
            "correct scale_factor_temporal and scale_factor_spatial"
        )
    if temporal != FRAMES_AT_ONCE:
        raise ModelInputError(
            f"the VAE makes one latent of {temporal} frames, but diffusers encodes {FRAMES_AT_ONCE} at a time; give a VAE of {FRAMES_AT_ONCE}"
        )
    return temporal, spatial
