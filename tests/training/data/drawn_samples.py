"""Whole samples whose frames and anchors can be told from one another by their brightness."""

import io
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import torch
from PIL import Image

from model.checkpoint import Checkpoint
from model.samples.encode import encode_sample
from pipeline.pack.audio import encode_flac
from pipeline.pack.encode import ClipEncoder
from pipeline.pack.options import PackOptions
from schemas.sample import Sample, SampleAnchor, SampleMetadata, anchor_file
from schemas.vocabulary import AnchorKind, Coded, Expression, Viewpoint

FRAMES, RATE, WIDTH, HEIGHT = 13, 16, 64, 48
CLASSES: tuple[tuple[AnchorKind, Coded | None], ...] = (
    (AnchorKind.EXPRESSION, Expression.HAPPY),
    (AnchorKind.GLOBAL, None),
    (AnchorKind.VIEWPOINT, Viewpoint.LEFT),
    (AnchorKind.VIEWPOINT, Viewpoint.LEFT),
    (AnchorKind.VIEWPOINT, Viewpoint.RIGHT),
    (AnchorKind.EXPRESSION, Expression.SAD),
)
STEP = 11
"""Of brightness, from one frame to the next and from one anchor to the next."""


def drawn_sample(
    key: str, frames: int = FRAMES, width: int = WIDTH, height: int = HEIGHT, audio: bool = True, caption: str | None = "a woman laughs"
) -> Sample:
    """Frame i and anchor i are of brightness STEP x i; every second anchor is from outside the clip."""
    end = frames * 1_000_000_000 // RATE
    anchors = tuple(
        SampleAnchor(anchor_file(number), kind, subclass, number % 2 * end, number % 2 == 0, (0.25, 0.25, 0.75, 0.75), 0.5)
        for number, (kind, subclass) in enumerate(CLASSES)
    )
    metadata = SampleMetadata(key, "video", "shot", "track", "character", 0, end, frames, float(RATE), width, height, caption, audio, anchors, 0, "hash")
    pictures = tuple(_picture(width, height, number) for number in range(len(anchors)))
    return Sample(metadata, _video(frames, width, height), _sound(frames) if audio else None, pictures)


def encoded(sample: Sample, checkpoint: Checkpoint, area: int, keep_pixels: bool = False) -> Sample:
    """The sample with its latents, beside its pixels or instead of them."""
    latents = encode_sample(sample, checkpoint, area, "cpu", torch.float32).to_bytes()
    if keep_pixels:
        return replace(sample, latents=latents, metadata=replace(sample.metadata, latents=True))
    return Sample(replace(sample.metadata, latents=True, pixels=False), None, None, (), latents)


def level(pixels: torch.Tensor) -> int:
    """Which frame or anchor it is."""
    return round(float(pixels.float().mean()) / STEP)


@cache
def _video(frames: int, width: int, height: int) -> bytes:
    with ClipEncoder(width, height, Fraction(RATE), PackOptions(preset="ultrafast", crf=4)) as encoder:
        for number in range(frames):
            encoder.add(np.full((height, width, 3), STEP * number, np.uint8))
        return encoder.finish()


@cache
def _sound(frames: int) -> bytes:
    return encode_flac(np.random.default_rng(0).integers(-9000, 9000, frames * 1000, dtype=np.int16))


@cache
def _picture(width: int, height: int, number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), STEP * number, np.uint8)).save(file, "JPEG", quality=95)
    return file.getvalue()
