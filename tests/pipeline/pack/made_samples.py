"""Whole samples without a source video: a few frames, some sound, pictures."""

import io
from fractions import Fraction
from functools import cache

import numpy as np
from PIL import Image

from pipeline.pack.audio import encode_flac
from pipeline.pack.encode import ClipEncoder
from pipeline.pack.options import PackOptions
from schemas.sample import Sample, SampleAnchor, SampleMetadata, anchor_file
from schemas.vocabulary import AnchorKind, Viewpoint

FRAMES = 4


def made_sample(key: str, audio: bool = True, sample_hash: str = "hash", anchors: int = 2) -> Sample:
    """A sample that keeps the contract; all have the same content under different keys."""
    made = tuple(
        SampleAnchor(anchor_file(number), AnchorKind.VIEWPOINT, Viewpoint(number % 4), number * 200_000_000, number * 200_000_000 < 250_000_000, None, 0.5)
        for number in range(anchors)
    )
    metadata = SampleMetadata(key, "video", "shot", "track", "character", 0, 250_000_000, FRAMES, 16.0, 64, 48, None, audio, made, 0, sample_hash)
    return Sample(metadata, _video(), _sound() if audio else None, (_picture(),) * anchors)


@cache
def _video() -> bytes:
    rng = np.random.default_rng(0)
    with ClipEncoder(64, 48, Fraction(16), PackOptions(preset="ultrafast")) as encoder:
        for _ in range(FRAMES):
            encoder.add(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        return encoder.finish()


@cache
def _sound() -> bytes:
    return encode_flac(np.zeros(FRAMES * 1000, np.int16))


@cache
def _picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), 99, np.uint8)).save(file, "JPEG")
    return file.getvalue()
