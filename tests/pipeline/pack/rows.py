"""Rows of the clips and anchors tables for tests, and reading back what was packed."""

import io
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.pack.options import PackOptions
from pipeline.pack.tasks import PackTask, plan_tasks
from schemas.tables import ANCHORS, CLIPS
from tests.barcode import Written

SECOND = 1_000_000_000
SELECTED = ("subclass", "status", "reason", "rank")
"""Columns that keep what select said."""


def clip_row(clip_id: str, start_ns: int, frame_count: int = 9, frame_rate: float = 16.0, **changes: Any) -> dict[str, Any]:
    row = {
        "clip_id": clip_id,
        "video_id": "0123456789abcdef",
        "shot_id": "shot",
        "track_id": "track",
        "character_id": "character",
        "start_ns": start_ns,
        "end_ns": start_ns + round(frame_count / frame_rate * SECOND),
        "frame_count": frame_count,
        "frame_rate": frame_rate,
        "status": "accepted",
        "reason": None,
        "visible_share": 1.0,
        "face_share": 1.0,
        "others": 0,
        "anchors_inside": 0,
        "anchors_outside": 0,
        "caption": None,
    }
    row |= changes
    return {f"selected_{name}": row[name] for name in SELECTED if name in row} | row


def anchor_row(anchor_id: str, pts_ns: int, kind: str = "global", subclass: str | None = None, **changes: Any) -> dict[str, Any]:
    row = {
        "anchor_id": anchor_id,
        "video_id": "0123456789abcdef",
        "shot_id": "shot",
        "track_id": "track",
        "character_id": "character",
        "pts_ns": pts_ns,
        "kind": kind,
        "subclass": subclass,
        "status": "accepted",
        "reason": None,
        "rank": 0,
        "score": 0.5,
        "confidence": 0.5,
        "quality": 1.0,
        "face_box": [0.25, 0.25, 0.5, 0.75],
        "body_box": None,
        "yaw": None,
        "pitch": None,
        "roll": None,
    }
    row |= changes
    return {f"selected_{name}": row[name] for name in SELECTED if name in row} | row


def planned(clips: Sequence[dict[str, Any]], anchors: Sequence[dict[str, Any]], options: PackOptions) -> list[PackTask]:
    return plan_tasks(CLIPS.from_rows(clips), ANCHORS.from_rows(anchors), options)


def shown_numbers(video: Written, start_ns: int, end_ns: int, frame_count: int, frame_rate: float) -> list[int]:
    """The numbers that a clip must show: of the frames that begin in its half-open span, each time the nearest to the instant, the earlier one
    of two; where none begins there, the one on display when the span starts. Looked up one by one."""
    rate = Fraction(frame_rate).limit_denominator(1001)
    begun = [k for k, pts_ns in enumerate(video.pts_ns) if pts_ns < end_ns]
    inside = [k for k in begun if video.pts_ns[k] >= start_ns] or (begun[-1:] or [0])
    instants = [start_ns + math.floor(i * SECOND / rate + Fraction(1, 2)) for i in range(frame_count)]
    return [video.numbers[min(inside, key=lambda k, instant=instant: (abs(video.pts_ns[k] - instant), k))] for instant in instants]  # type: ignore[misc]


def decode_video(content: bytes | None) -> list[NDArray[np.uint8]]:
    assert content is not None
    with av.open(io.BytesIO(content), "r") as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


def decode_picture(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))
