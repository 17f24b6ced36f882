"""What has to be packed: one task per accepted clip, with the superset drawn for it and the hash of all it will be made from.

A clip whose anchors no judge has seen yet waits for them: without any it would not teach who is to be kept.
"""

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
from schemas.vocabulary import Status

RECIPE_VERSION = 1
"""Goes up by one whenever another sample is made of the same clip and anchors: all are packed anew then. A layout that older samples fit too is none."""

PACKED_OF_CLIPS = ["clip_id", "video_id", "shot_id", "track_id", "character_id", "start_ns", "end_ns", "frame_count", "frame_rate", "caption"]
"""Columns of the clips table that a sample is made from."""

PACKED_OF_ANCHORS = ["anchor_id", "character_id", "pts_ns", "kind", "subclass", "score", "face_box", "body_box"]
"""Columns of the anchors table that a sample is made from. Not the status: a pending anchor that is confirmed makes the same sample."""

CLIP_COLUMNS = [*PACKED_OF_CLIPS, "status", "anchors_inside", "anchors_outside"]
"""Columns of the clips table that packing looks at."""

ANCHOR_COLUMNS = [*PACKED_OF_ANCHORS, "status"]
"""Columns of the anchors table that packing looks at."""


@dataclass(frozen=True, slots=True)
class PackTask:
    """One clip to pack.

    Attributes:
        clip: its row, PACKED_OF_CLIPS.
        anchors: the superset's rows, PACKED_OF_ANCHORS, in the order of the sample's files.
        sample_hash: 16 hex digits over the clip, the superset, the options that change a sample, and the recipe's version. The video itself is
            in it by its video_id.
    """

    clip: Mapping[str, Any]
    anchors: tuple[Mapping[str, Any], ...]
    sample_hash: str

    @property
    def key(self) -> str:
        """The sample's key."""
        return str(self.clip["clip_id"])


def packable_rows(rows: pa.Table, include_pending: bool = False) -> pa.Table:
    """The accepted ones, or also the pending ones, of the clips or the anchors table, without a look at the others: candidates are many."""
    wanted = [Status.ACCEPTED, Status.PENDING] if include_pending else [Status.ACCEPTED]
    return rows.filter(pc.is_in(rows["status"].cast(pa.string()), pa.array(map(str, wanted))))


def waiting_clips(clips: pa.Table, anchors: pa.Table, include_pending: bool = False) -> set[str]:
    """The clip_id of each accepted clip of which select counted anchors, while none of its character may be packed now.

    Args:
        clips: rows of the clips table: clip_id, character_id, status and the two counts of anchors.
        anchors: rows of the anchors table of the same videos: character_id and status.
        include_pending: pending anchors may be packed.
    """
    clips = packable_rows(clips)
    counted = pc.greater(pc.add(clips["anchors_inside"], clips["anchors_outside"]), 0)
    has_some = pc.is_in(clips["character_id"], packable_rows(anchors, include_pending)["character_id"].combine_chunks())
    return set(clips.filter(pc.and_(counted, pc.invert(has_some)))["clip_id"].to_pylist())


def plan_tasks(clips: pa.Table, anchors: pa.Table, options: PackOptions) -> list[PackTask]:
    """The tasks of one video's accepted clips that need not wait, in the order of their start.

    Args:
        clips: the clips table, of one video.
        anchors: the anchors table, of the same video.
        options: how to pack.
    """
    by_character: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for anchor in packable_rows(anchors, options.include_pending).select(PACKED_OF_ANCHORS).to_pylist():
        by_character[anchor["character_id"]].append(anchor)
    waiting = waiting_clips(clips, anchors, options.include_pending)
    tasks = []
    for clip in sorted(packable_rows(clips).select(PACKED_OF_CLIPS).to_pylist(), key=lambda clip: (clip["start_ns"], clip["clip_id"])):
        if clip["clip_id"] not in waiting:
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
    content = [RECIPE_VERSION, options.content_hash, clip, superset]
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
