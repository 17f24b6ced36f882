"""The random choices of a sample. Each comes from a generator of its own, seeded by (seed, epoch, key, what for), and from nothing else:
neither the order of reading nor the number of processes nor anybody's other random numbers have a part in it, and an option that
changes one kind of choice leaves the others as they are.
"""

import hashlib
from collections.abc import Sequence

import torch

from model.flow import SigmaDistribution
from training.data.sample import Draws
from training.errors import TrainingError
from training.options import LossOptions


def draws_of(
    seed: int, epoch: int, key: str, options: LossOptions, sigmas: SigmaDistribution, clip_frames: int, temporal_factor: int, trained_frames: int
) -> Draws:
    """The choices of a sample in an epoch.

    Args:
        seed: of the training.
        epoch: from 0.
        key: of the sample.
        options: how often conditions are dropped and frames are given.
        sigmas: distribution of the noise level.
        clip_frames: frames of the whole clip.
        temporal_factor: frames per latent frame: the first frame is a multiple of it, so that latents can be cut at the same place. What begins there is
            not the same: of pixels the first latent stands for one frame; of latents cut behind the start it stands for several, and a causal codec's
            know those before.
        trained_frames: frames that are trained on, 1 + a multiple of the temporal factor, not more than the clip has.
    """
    latents = 1 + (trained_frames - 1) // temporal_factor
    starts = 1 + (clip_frames - trained_frames) // temporal_factor
    text, audio, anchors = torch.rand(3, generator=generator_of(seed, epoch, key, "drop")).tolist()
    return Draws(
        first_frame=temporal_factor * int(torch.randint(starts, (), generator=generator_of(seed, epoch, key, "first frame"))),
        given=weighted_count(options.given_weights[:latents], generator_of(seed, epoch, key, "given")),
        sigma=sigmas.sample(1, generator_of(seed, epoch, key, "sigma")).item(),
        noise_seed=seed_of(seed, epoch, key, "noise"),
        drop_text=text < options.drop_text,
        drop_audio=audio < options.drop_audio,
        drop_anchors=anchors < options.drop_anchors,
    )


def generator_of(seed: int, epoch: int, key: str, purpose: str) -> torch.Generator:
    """A generator on the CPU for one kind of choice about one sample in one epoch."""
    return torch.Generator().manual_seed(seed_of(seed, epoch, key, purpose))


def seed_of(seed: int, epoch: int, key: str, purpose: str) -> int:
    """32 bits, which is what torch's generator on the CPU takes of a seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{epoch}\0{key}\0{purpose}".encode()).digest()[:4], "little")


def weighted_count(weights: Sequence[float], generator: torch.Generator) -> int:
    """A number 0, 1, 2 … drawn by its weight. Weights that are all 0 (the others were cut off) give 0."""
    return int(torch.multinomial(torch.tensor(weights, dtype=torch.float64), 1, generator=generator)) if any(weights) else 0


def check_weights(name: str, weights: Sequence[float]) -> None:
    """Weights of 0, 1, 2 … must be finite, not negative, and not all 0.

    Raises:
        TrainingError: they are not; ``name`` is the option's.
    """
    if not any(weights) or not all(0 <= weight < float("inf") for weight in weights):
        raise TrainingError(f"{name} {' '.join(map(str, weights))}: weights of 0, 1, 2 … must be 0 or more, finite, and not all 0; for example 1 1")
