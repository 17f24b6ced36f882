"""What can be chosen about packing."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]

_WITHOUT_INFLUENCE = {"shard_bytes", "chunk_seconds", "threads", "include_pending"}
"""On a given clip with a given superset: that a pending anchor was let in shows in the superset."""


@dataclass(frozen=True, slots=True)
class PackOptions:
    """How clips become shard samples."""

    area: int = 480 * 832
    """upper bound of a clip's width x height, in pixels; both are multiples of 16"""
    upscale: bool = False
    """enlarge sources that are smaller than the area; otherwise they keep their size, rounded down to multiples of 16"""
    crf: int = 16
    """constant rate factor of H.264: 0 is lossless, 51 the worst, 16 hard to tell from the source"""
    preset: Preset = "faster"
    """x264's trade of time for size; medium takes twice as long for 0.2 dB more"""
    keyframe_interval: int = 16
    """frames from one keyframe to the next"""
    jpeg_quality: int = 95
    """of the anchors' pictures, 1 to 95"""
    audio: bool = True
    """pack the audio of sources that have some"""
    global_anchors: int = 2
    """global anchors per sample, at most"""
    viewpoint_anchors: int = 2
    """anchors per sample and viewpoint, at most"""
    expression_anchors: int = 2
    """anchors per sample and expression, at most"""
    max_anchors: int = 16
    """anchors per sample over all kinds, at most"""
    include_pending: bool = False
    """also pack anchors that no judge has seen yet"""
    seed: int = 0
    """what the supersets and the order of the samples in the shards are drawn with"""
    shard_bytes: int = 256 * 1024 * 1024
    """a shard is closed before it grows beyond this many bytes"""
    chunk_seconds: float = 600.0
    """clips of one video that start within this many seconds of one another are one unit of work"""
    decoder: Literal["pyav", "decord"] = "pyav"
    """what decodes the video"""
    threads: int = 1
    """threads of a worker's decoder"""

    def __post_init__(self) -> None:
        """Check the ranges."""
        ranges = {
            "area": (16 * 16, None),
            "crf": (0, 51),
            "keyframe_interval": (1, None),
            "jpeg_quality": (1, 95),
            "global_anchors": (0, None),
            "viewpoint_anchors": (0, None),
            "expression_anchors": (0, None),
            "max_anchors": (1, None),
            "shard_bytes": (1, None),
            "chunk_seconds": (1, None),
            "threads": (1, None),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value < least or (most is not None and value > most):
                raise ValueError(f"pack: {name} must be {f'{least} to {most}' if most is not None else f'at least {least}'}, not {value}")

    @property
    def content_hash(self) -> str:
        """Hash of what changes a sample's bytes, beside its clip and its superset; how shards are filled and how work is cut does not."""
        content = {name: value for name, value in asdict(self).items() if name not in _WITHOUT_INFLUENCE}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
