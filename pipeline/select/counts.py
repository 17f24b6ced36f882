"""What a video's tables hold, counted: for the ledger, and from there for the summary of a run."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from schemas.vocabulary import Status

BIN_PREFIX = {Status.ACCEPTED: "anchors", Status.PENDING: "pending"}


def count_selection(tracks: pa.Table, characters: int, anchors: pa.Table, clips: pa.Table) -> dict[str, int]:
    """How many of what.

    Args:
        tracks: rows of the tracks table, of one video.
        characters: how many there are.
        anchors: rows of the anchors table: all candidates.
        clips: rows of the clips table.

    Returns:
        ``tracks``, ``characters``, ``candidates``, ``anchors``, ``pending``, ``clips``; ``anchors/KIND/SUBCLASS`` (``anchors/global``) for the
        accepted ones, ``pending/KIND/SUBCLASS`` for those that wait for a judge, ``dropped/KIND/REASON``, ``dropped/track/REASON`` and
        ``dropped/clip/REASON`` for the others. Numbers of a kind add up to the observations.
    """
    counts = {"tracks": len(tracks), "characters": characters, "candidates": len(anchors), "anchors": 0, "pending": 0, "clips": 0}
    for kind, subclass, status, reason, number in _grouped(anchors, ("kind", "subclass", "status", "reason")):
        if status == Status.REJECTED:
            key = f"dropped/{kind}/{reason}"
        else:
            prefix = BIN_PREFIX[Status(status)]
            counts[prefix] += number
            key = "/".join(filter(None, (prefix, kind, subclass)))
        counts[key] = counts.get(key, 0) + number
    for status, reason, number in _grouped(clips, ("status", "reason")):
        key = "clips" if status == Status.ACCEPTED else f"dropped/clip/{reason}"
        counts[key] = counts.get(key, 0) + number
    for reason, number in _grouped(tracks, ("reason",)):
        if reason is not None:
            counts[f"dropped/track/{reason}"] = number
    return dict(sorted(counts.items()))


def _grouped(table: pa.Table, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    """Every combination of words that occurs, with how often it does."""
    words = table.select(keys).cast(pa.schema([(name, pa.string()) for name in keys]))
    grouped = words.group_by(list(keys)).aggregate([([], "count_all")])
    return list(zip(*(grouped[name].to_pylist() for name in (*keys, "count_all")), strict=True))
