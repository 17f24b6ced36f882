"""Superset content anchoring: which anchors of its main character go with a clip (Gloria, arXiv 2603.29931).

A clip gets anchors from inside and outside its span, so that copying the anchor does not solve the training task. The draw ranks each
anchor by a hash of (seed, clip, anchor): it does not depend on order, library or machine, and an anchor more or less changes only its
own place.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

from pipeline.pack.options import PackOptions
from schemas.vocabulary import SUBCLASSES, AnchorKind

Row = Mapping[str, Any]


def draw_superset(clip: Row, anchors: Iterable[Row], options: PackOptions) -> list[Row]:
    """The anchors that go with a clip, ordered by kind, subclass and time.

    From each bin (kind and subclass) as many as its cap allows are drawn; then, round by round over the bins, as many as the
    sample may hold. When none of them lies outside the clip although one could, one takes the place of the last of its own bin
    (of the whole draw, when its bin has none).

    Args:
        clip: a row of the clips table.
        anchors: rows of the anchors table that may be packed; those of other characters are left out.
        options: caps and seed.
    """
    own = [anchor for anchor in anchors if anchor["character_id"] == clip["character_id"]]
    ranked = sorted(own, key=lambda anchor: (_ticket(options.seed, clip["clip_id"], anchor["anchor_id"]), anchor["anchor_id"]))
    bins: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for anchor in ranked:
        bins[_bin(anchor)].append(anchor)
    rounds = [members[: _cap(bin_, options)] for bin_, members in bins.items()]
    drawn = [anchor for turn in zip_longest(*rounds) for anchor in turn if anchor is not None][: options.max_anchors]
    outside = [anchor for anchor in ranked if not is_inside(clip, anchor) and _cap(_bin(anchor), options) > 0]
    if outside and all(is_inside(clip, anchor) for anchor in drawn):
        drawn = _with_one_from_outside(drawn, outside)
    return sorted(drawn, key=lambda anchor: (_bin(anchor), anchor["pts_ns"], anchor["anchor_id"]))


def is_inside(clip: Row, anchor: Row) -> bool:
    """Whether an anchor's frame lies in the clip's half-open span."""
    return bool(clip["start_ns"] <= anchor["pts_ns"] < clip["end_ns"])


def _with_one_from_outside(drawn: list[Row], outside: list[Row]) -> list[Row]:
    """The draw with its last anchor of some bin replaced by that bin's first outside anchor; the last of all when no bin has both."""
    for anchor in outside:
        places = [place for place, other in enumerate(drawn) if _bin(other) == _bin(anchor)]
        if places:
            return [*drawn[: places[-1]], anchor, *drawn[places[-1] + 1 :]]
    return [*drawn[:-1], outside[0]]


def _bin(anchor: Row) -> tuple[int, int]:
    kind = AnchorKind.from_word(anchor["kind"])
    vocabulary = SUBCLASSES[kind]
    return int(kind), int(vocabulary.from_word(anchor["subclass"])) if vocabulary is not None else 0


def _cap(bin_: tuple[int, int], options: PackOptions) -> int:
    caps = {AnchorKind.GLOBAL: options.global_anchors, AnchorKind.VIEWPOINT: options.viewpoint_anchors, AnchorKind.EXPRESSION: options.expression_anchors}
    return caps[AnchorKind(bin_[0])]


def _ticket(seed: int, clip_id: str, anchor_id: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{clip_id}\0{anchor_id}".encode()).digest()
