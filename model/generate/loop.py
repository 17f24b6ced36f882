"""Chunk after chunk: a video of any length, in memory that does not grow with it.

Each chunk begins with what the one before ended with: its last latents, as they are (``latents``), or its last frames, encoded again
(``frames``, as the paper words it: what a VAE's decoder adds is then seen by the next chunk, and so is what it loses). The anchors stay for
every chunk; they are what the tenth minute still has of the character.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.conditions.protocols import Codec
from model.generate.blend import join
from model.generate.options import Continuation
from model.generate.plan import Chunk, ChunkPlan
from model.layout import grey_condition


@dataclass(frozen=True, slots=True)
class Handover:
    """What a chunk leaves to the next.

    Attributes:
        condition: (1, C, n, h, w) latents that are given to the next chunk; beside (see ``model.layout``) all latents of it, grey where none is given.
            Of the last chunk n is 0: nobody is given anything.
        held: (3, T, H, W) frames that wait to be blended with the next chunk's.
    """

    condition: Tensor
    held: Tensor


@dataclass(frozen=True, slots=True)
class ChunkVideo:
    """A finished chunk.

    Attributes:
        chunk: which.
        frames: (3, T, H, W) in -1..1, those that can be shown now.
        handover: to the next chunk.
    """

    chunk: Chunk
    frames: Tensor
    handover: Handover


Denoise = Callable[[Chunk, Tensor, int, Tensor | None], Tensor]
"""(chunk, noise (1, C, F, h, w), given latent frames, their latents) to the chunk's latents; see ``Denoiser.denoise``."""


@dataclass(frozen=True, slots=True)
class ChunkLoop:
    """How chunks become a video.

    Attributes:
        plan: which chunks.
        codec: between pixels and latents.
        denoise: makes the latents of a chunk.
        latent_size: height and width in latents.
        seed: with a chunk's number, gives its noise.
        beside: given frames are told beside the noise; see ``model.layout``.
        continuation: what a chunk begins with.
        device: where to compute.
    """

    plan: ChunkPlan
    codec: Codec
    denoise: Denoise
    latent_size: tuple[int, int]
    seed: int = 0
    beside: bool = False
    continuation: Continuation = "latents"
    device: str = "cpu"

    def run(self, image: Tensor | None = None, after: int = -1, handover: Handover | None = None) -> Iterator[ChunkVideo]:
        """The chunks of the video, one after the other.

        Args:
            image: (3, H, W) in -1..1, the first frame; None to have it made.
            after: number of the last chunk that is done already.
            handover: what that chunk left.
        """
        for number in range(after + 1, len(self.plan)):
            made = self._chunk(self.plan[number], image, handover)
            handover = made.handover
            yield made

    def _chunk(self, chunk: Chunk, image: Tensor | None, handover: Handover | None) -> ChunkVideo:
        given, condition = self._start(image, handover)
        latents = self.denoise(chunk, self.noise(chunk), given, condition)
        frames = self.codec.decode(latents)[0].float().cpu()
        is_last = chunk.number + 1 == len(self.plan)
        shown = frames[:, : frames.shape[1] - chunk.surplus]
        ready, held = join(None if handover is None else handover.held, shown, self.plan.overlap, is_last)
        condition = latents[:, :, :0] if is_last else self._given_next(latents, frames)  # in some layouts a whole pass of the codec
        return ChunkVideo(chunk, ready, Handover(condition.cpu(), held))

    def _start(self, image: Tensor | None, handover: Handover | None) -> tuple[int, Tensor | None]:
        if handover is not None:
            return self.plan.prefix, handover.condition.to(self.device)
        return (0, None) if image is None else (1, self._given(image[None, :, None].to(self.device)))

    def noise(self, chunk: Chunk) -> Tensor:
        """A chunk's noise: the same whatever was made before it, on every device."""
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([self.seed, chunk.number]).generate_state(1, np.uint64)[0] >> 1))
        return torch.randn(1, self.codec.channels, self.plan.latents, *self.latent_size, generator=generator).to(self.device)

    def _given_next(self, latents: Tensor, frames: Tensor) -> Tensor:
        """The condition of the next chunk."""
        last = latents[:, :, -self.plan.prefix :]
        if self.continuation == "latents" and not self.beside:
            return last
        encoded = self._given(frames[None, :, -self.plan.overlap :].to(self.device))
        if self.continuation == "frames":
            return encoded
        return torch.cat([last, encoded[:, :, self.plan.prefix :].to(last)], dim=2)

    def _given(self, frames: Tensor) -> Tensor:
        """Latents of given frames (1, 3, T, H, W)."""
        return grey_condition(self.codec, frames, self.plan.latents) if self.beside else self.codec.encode(frames)
