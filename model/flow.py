"""Flow matching: data and noise joined by a straight line, and the network that learns the way along it.

At sigma (0 is data, 1 is noise) a sample is x = (1 - sigma) * clean + sigma * noise, and what is learned is the velocity noise - clean. The network is
told 1000 * sigma. A sigma is one per sample, (B,), or one per latent frame, (B, F), of latents (B, C, F, H, W): a frame that is given stands at sigma 0
among noisy ones.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

TIMESTEPS = 1000
"""The timestep at sigma 1."""

Sigma = TypeVar("Sigma", float, Tensor)


def shift_sigma(sigma: Sigma, shift: float) -> Sigma:
    """Sigma moved towards noise: its odds sigma / (1 - sigma) become ``shift`` times as large."""
    return shift * sigma / (1 + (shift - 1) * sigma)


def unshift_sigma(sigma: Sigma, shift: float) -> Sigma:
    """The inverse of ``shift_sigma``."""
    return shift_sigma(sigma, 1 / shift)


def timestep(sigma: Tensor) -> Tensor:
    """What the network is told of sigma, in the same shape."""
    return TIMESTEPS * sigma


def noisy(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The point on the line from clean latents to noise, both (B, C, F, H, W), at sigma (B,) or (B, F). Where sigma is 0, it is the clean latent to the bit."""
    sigma = _over(sigma, clean)
    return (1 - sigma) * clean + sigma * noise


def target_velocity(clean: Tensor, noise: Tensor) -> Tensor:
    """The way from clean latents to noise, in float32."""
    return noise.float() - clean.float()


def clean_from_velocity(x_t: Tensor, velocity: Tensor, sigma: Tensor) -> Tensor:
    """The clean latents that a velocity at sigma (B,) or (B, F) points back to, in float32."""
    return x_t.float() - _over(sigma, x_t) * velocity.float()


def flow_loss(prediction: Tensor, clean: Tensor, noise: Tensor, frame_mask: Tensor | None = None) -> Tensor:
    """Mean of ``flow_losses``: every sample counts alike, however many of its frames are to be learned. A scalar in float32."""
    return flow_losses(prediction, clean, noise, frame_mask).mean()


def flow_losses(prediction: Tensor, clean: Tensor, noise: Tensor, frame_mask: Tensor | None = None) -> Tensor:
    """Mean squared error of each sample's velocity, in float32 whatever the inputs are.

    Args:
        prediction: (B, C, F, H, W) velocity.
        clean: of the same shape.
        noise: of the same shape.
        frame_mask: (B, F), True at the latent frames that are to be learned, False at those that were given clean; None means all. A sample that has
            nothing to learn has loss 0.

    Returns:
        (B,).
    """
    error = prediction.float() - target_velocity(clean, noise)
    if frame_mask is None:
        return error.square().mean(dim=(1, 2, 3, 4))
    error = error.where(frame_mask[:, None, :, None, None], 0)
    return error.square().mean(dim=(1, 3, 4)).sum(dim=1) / frame_mask.sum(dim=1).clamp(min=1)


@dataclass(frozen=True, slots=True)
class SigmaDistribution:
    """Which sigmas are trained.

    Attributes:
        kind: of the sigma before the shift: logit_normal draws logit(sigma) from a normal distribution, uniform draws sigma from 0..1.
        mean, deviation: of the logit; for logit_normal alone.
        shift: see ``shift_sigma``. To a logit-normal sigma it does what ``log(shift)`` more of mean would.

    Raises:
        ValueError: a kind that there is not; a deviation or a shift that is not above 0.
    """

    kind: Literal["logit_normal", "uniform"] = "logit_normal"
    mean: float = 0.0
    deviation: float = 1.0
    shift: float = 5.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.kind not in ("logit_normal", "uniform"):
            raise ValueError(f"the kind of a distribution of sigmas is logit_normal or uniform, not {self.kind!r}")
        if not (self.deviation > 0 and self.shift > 0 and math.isfinite(self.deviation + self.shift + self.mean)):
            raise ValueError(f"deviation and shift of a distribution of sigmas must be above 0, and all three finite: {self}")

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Sigmas (count,), float32, on the CPU like their generator."""
        if self.kind == "uniform":
            drawn = torch.rand(count, generator=generator)
        else:
            drawn = torch.sigmoid(self.mean + self.deviation * torch.randn(count, generator=generator))
        return shift_sigma(drawn, self.shift)

    def quantile(self, sigma: Tensor) -> Tensor:
        """The share of draws that are below each sigma, 0..1: for sorting losses into bins that fill alike."""
        unshifted = unshift_sigma(sigma.double(), self.shift)
        if self.kind == "logit_normal":
            unshifted = torch.special.ndtr((torch.logit(unshifted) - self.mean) / self.deviation)
        return unshifted.float()

    def at_quantile(self, quantile: Tensor) -> Tensor:
        """The inverse of ``quantile``: the sigma that this share of draws, 0..1, is below."""
        unshifted = quantile.double()
        if self.kind == "logit_normal":
            unshifted = torch.sigmoid(self.mean + self.deviation * torch.special.ndtri(unshifted))
        return shift_sigma(unshifted, self.shift).float()


def _over(sigma: Tensor, latents: Tensor) -> Tensor:
    """Sigma (B,) or (B, F), ready to be multiplied with latents (B, C, F, H, W), on their device."""
    if sigma.shape not in (latents.shape[:1], latents.shape[:1] + latents.shape[2:3]):
        raise ValueError(f"sigma must be (B,) or (B, F) of latents {tuple(latents.shape)}, not {tuple(sigma.shape)}")
    sigma = sigma.to(latents.device)
    return sigma[:, None, :, None, None] if sigma.ndim == 2 else sigma[:, None, None, None, None]
