"""Videos of many chunks, made by the project's own loop, once as they come out of it and once with chunks simply put one behind the other."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from benchmarks.chunk_boundaries.drawn import Colours, anchors
from benchmarks.chunk_boundaries.known import KnownVelocity
from benchmarks.chunk_boundaries.training import GLOBAL, PROMPT, Trained, TrainingOptions, codec
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.generate.denoise import Anchors, Conditions, Denoiser, Guidance
from model.generate.loop import ChunkLoop
from model.generate.options import Continuation
from model.generate.plan import Chunk, ChunkPlan
from model.layout import Layout
from model.positions import AnchorPositions
from model.sampler import SamplerOptions

RATE = Fraction(16)
SAMPLING = SamplerOptions(steps=16, shift=3.0)
MakeLatents = Callable[[Tensor, int, Tensor | None], Tensor]
"""(noise, given latent frames, their latents) to a chunk's latents."""
MEMORY = 0.1
"""What a frame keeps of the one before in SmearingCodec."""


class SmearingCodec(PixelUnshuffleCodec):
    """A codec that loses something, and more at a chunk's beginning: each decoded frame keeps a tenth of the one before.

    A video VAE's decoder looks at the frames before, too, and has none when a chunk begins; so two chunks that share latents do not show the same frames.
    The pixel codec does not lose anything, and there is nothing to blend.
    """

    def decode(self, latents: Tensor) -> Tensor:
        """As the pixel codec, smeared."""
        frames = super().decode(latents).clone()
        for index in range(1, frames.shape[2]):
            frames[:, :, index] = (1 - MEMORY) * frames[:, :, index] + MEMORY * frames[:, :, index - 1]
        return frames


def exact() -> PixelUnshuffleCodec:
    return codec()


def smearing() -> SmearingCodec:
    return SmearingCodec(codec().spatial_factor, codec().temporal_factor)


@dataclass(frozen=True, slots=True)
class Video:
    """One video: (3, T, H, W) in -1..1 with overlapping frames blended, and without."""

    blended: Tensor
    cut: Tensor


def plan_of(options: TrainingOptions, chunks: int) -> ChunkPlan:
    """That of a video that is exactly so many chunks long."""
    one = ChunkPlan(1, RATE, options.latents, temporal_factor=codec().temporal_factor)
    return ChunkPlan(one.length + (chunks - 1) * one.stride, RATE, one.latents, one.prefix, one.temporal_factor)


def character(shown: Colours, options: TrainingOptions, network: Any, pixels: PixelUnshuffleCodec) -> Anchors:
    """The anchor of one character; ``shown`` has one row."""
    latents = Layout.of(network.config, pixels).anchors(pixels.encode(anchors(shown, options.side)))
    positions = AnchorPositions(**getattr(network.config, "anchor_positions", {})).of([GLOBAL])
    return Anchors(latents, torch.tensor([positions], dtype=torch.float64), (str(GLOBAL),))


def makes(trained: Trained, shown: Colours, pixels: PixelUnshuffleCodec) -> MakeLatents:
    """The trained network at work."""
    network = trained.network
    denoiser = Denoiser(network, Layout.of(network.config, pixels), SAMPLING, Guidance(1.0))
    anchors_, text = character(shown, trained.options, network, pixels), trained.text.encode([PROMPT]).detach()
    return lambda noise, given, condition: denoiser.denoise(noise, Conditions(text, text, anchors=anchors_, given=given, condition=condition))


def makes_known(options: TrainingOptions, shown: Colours, pixels: PixelUnshuffleCodec) -> MakeLatents:
    """The denoiser whose answer is known at work."""
    network: Any = KnownVelocity(shown, pixels, options.latents, options.side)
    denoiser, text = Denoiser(network, Layout.of(network.config, pixels), SAMPLING, Guidance(1.0)), torch.zeros(1, 1, 1)
    return lambda noise, given, condition: denoiser.denoise(noise, Conditions(text, text, given=given, condition=condition))


def generate(make: MakeLatents, plan: ChunkPlan, side: int, pixels: PixelUnshuffleCodec, continuation: Continuation, seed: int) -> Video:
    """A video of one character."""
    cut: list[Tensor] = []

    def denoise(chunk: Chunk, noise: Tensor, given: int, condition: Tensor | None) -> Tensor:
        latents = make(noise, given, condition)
        cut.append(pixels.decode(latents)[0, :, chunk.overlap :])
        return latents

    loop = ChunkLoop(plan, pixels, denoise, (side // pixels.spatial_factor,) * 2, seed, continuation=continuation)
    blended = torch.cat([made.frames for made in loop.run()], dim=1)
    return Video(blended, torch.cat(cut, dim=1))
