"""Shards of samples that have latents and no pixels, for benchmarks: as ``python -m jobs encode`` writes them, of clips that never were a video."""

from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from rich.console import Console

from model.positions import AnchorClass
from pipeline.pack.tar import END, write_piece
from schemas.latents import Latents, LatentsKey, Numbers
from schemas.sample import Sample, SampleAnchor, SampleMetadata, anchor_file, build_sample
from training.data.build_index import build_index

FRAME_RATE = 16.0
SECOND = 1_000_000_000


def latent_sample(
    key: str,
    character: str,
    caption: str | None,
    size: tuple[int, int, int],
    video: Numbers,
    anchors: Sequence[tuple[AnchorClass, bool]],
    anchor_latents: Numbers | None,
    latents_key: LatentsKey,
    text: Numbers | None = None,
    audio: Numbers | None = None,
) -> Sample:
    """A sample of latents alone.

    Args:
        key: of the sample.
        character: its character_id.
        caption: of the clip.
        size: width and height in pixels, and frames, of the clip that the latents are of.
        video: (C, f, h, w).
        anchors: what each shows, and whether it lies inside the clip.
        anchor_latents: (K, C, h, w).
        latents_key: which networks they are of.
        text, audio: embeddings, see ``schemas.latents``.
    """
    width, height, frames = size
    end = round(frames / FRAME_RATE * SECOND)
    listed = tuple(
        SampleAnchor(anchor_file(number), anchor.kind, anchor.subclass, number if inside else end + number, inside, None, None)
        for number, (anchor, inside) in enumerate(anchors)
    )
    metadata = SampleMetadata(
        key, key, key, key, character, 0, end, frames, FRAME_RATE, width, height, caption, audio is not None, listed, 0, key, pixels=False, latents=True
    )
    return Sample(metadata, None, None, (), Latents(video, anchor_latents, text, audio, None, latents_key).to_bytes())


def write_latent_shards(folder: Path, samples: Iterable[Sample], per_shard: int = 1024) -> Path:
    """Write the samples, and their index, into a new folder; gives the folder."""
    folder.mkdir(parents=True)
    waiting = iter(samples)
    number = 0
    while first := next(waiting, None):
        with (folder / f"shard-{number:06d}.tar").open("wb") as file:
            for sample in (first, *(each for _, each in zip(range(per_shard - 1), waiting, strict=False))):
                write_piece(file, sample.metadata.clip_id, build_sample(sample))
            file.write(END)
        number += 1
    build_index([str(folder)], None, Console(file=StringIO()))
    return folder


def random_numbers(generator: np.random.Generator, *shape: int) -> Numbers:
    """Standard normal, float16."""
    return generator.standard_normal(shape, np.float32).astype(np.float16)
