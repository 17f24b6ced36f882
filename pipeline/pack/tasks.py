"""What has to be packed: one task per accepted clip, with the superset drawn for it and the hash of all it will be made from."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.pack.options import PackOptions
from pipeline.pack.superset import draw_superset
from schemas.sample import SAMPLE_VERSION
from schemas.vocabulary import Status

CLIP_COLUMNS = ["clip_id", "video_id", "shot_id", "track_id", "character_id", "start_ns", "end_ns", "frame_count", "frame_rate", "status", "caption"]
"""Columns of the clips table that packing looks at."""

ANCHOR_COLUMNS = ["anchor_id", "character_id", "pts_ns", "kind", "subclass", "status", "score", "face_box", "body_box"]
"""Columns of the anchors table that packing looks at."""


@dataclass(frozen=True, slots=True)
class PackTask:
    """One clip to pack.

    Attributes:
        clip: its row, CLIP_COLUMNS.
        anchors: the superset's rows, ANCHOR_COLUMNS, in the order of the sample's files.
        sample_hash: 16 hex digits over the clip, the superset, the options that change a sample, and the sample's version. The video itself is
            in it by its video_id.
    """

    clip: Mapping[str, Any]
    anchors: tuple[Mapping[str, Any], ...]
    sample_hash: str

    @property
    def key(self) -> str:
        """The sample's key."""
        return str(self.clip["clip_id"])


def accepted_rows(rows: pa.Table) -> pa.Table:
    """The accepted ones among rows of the clips or the anchors table, without a look at the others: candidates are many."""
    return rows.filter(pc.equal(rows["status"].cast(pa.string()), Status.ACCEPTED))


def plan_tasks(clips: pa.Table, anchors: pa.Table, options: PackOptions) -> list[PackTask]:
    """The tasks of one video's accepted clips, in the order of their start.

    Args:
        clips: the clips table, of one video.
        anchors: the anchors table, of the same video.
        options: how to pack.
    """
    by_character: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for anchor in accepted_rows(anchors).select(ANCHOR_COLUMNS).to_pylist():
        by_character[anchor["character_id"]].append(anchor)
    tasks = []
    for clip in sorted(accepted_rows(clips).select(CLIP_COLUMNS).to_pylist(), key=lambda clip: (clip["start_ns"], clip["clip_id"])):
        superset = tuple(draw_superset(clip, by_character[clip["character_id"]], options))
        tasks.append(PackTask(clip, superset, _sample_hash(clip, superset, options)))
    return tasks


def chunks(tasks: Sequence[PackTask], seconds: float) -> Iterator[tuple[PackTask, ...]]:
    """Tasks in the order of their start, cut where one starts ``seconds`` or more after the first of its chunk."""
    chunk: list[PackTask] = []
    for task in tasks:
        if chunk and task.clip["start_ns"] - chunk[0].clip["start_ns"] >= seconds * 1e9:
            yield tuple(chunk)
            chunk = []
        chunk.append(task)
    if chunk:
        yield tuple(chunk)


def _sample_hash(clip: Mapping[str, Any], superset: Sequence[Mapping[str, Any]], options: PackOptions) -> str:
    content = [SAMPLE_VERSION, options.content_hash, clip, superset]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
