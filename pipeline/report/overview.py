"""The numbers of a whole run, summed up video by video, so that no more than one video's rows are ever in memory."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.vocabulary import AnchorKind, RejectReason, Status

YAW_EDGES = np.arange(-180, 181, 5)
"""Degrees at which the bins of the yaw distribution begin and end."""

Bin = tuple[AnchorKind, str | None]


def _no_yaws() -> NDArray[np.int64]:
    return np.zeros(len(YAW_EDGES) - 1, np.int64)


@dataclass
class Overview:
    """Sums over videos; ``add`` one after the other, in any order.

    Attributes:
        videos: added so far.
        seconds: of all their shots.
        sampled: frames that were looked at.
        faces: observations with a face.
        observations: people in the sampled frames.
        tracks: one person through one shot.
        characters: people.
        clips: training clips that were accepted.
        anchors: accepted ones of each bin.
        characters_with: characters that have an accepted anchor in the bin.
        dropped: of each kind, candidates by reason.
        dropped_tracks: tracks without a character by reason.
        dropped_clips: rejected spans by reason.
        yaws: of each viewpoint word (None where the classifier abstains), observations by yaw, between YAW_EDGES.
        expressions: characters' faces by expression word (None where the classifier abstains).
    """

    videos: int = 0
    seconds: float = 0.0
    sampled: int = 0
    faces: int = 0
    observations: int = 0
    tracks: int = 0
    characters: int = 0
    clips: int = 0
    anchors: Counter[Bin] = field(default_factory=Counter)
    characters_with: Counter[Bin] = field(default_factory=Counter)
    dropped: dict[AnchorKind, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in AnchorKind})
    dropped_tracks: Counter[str] = field(default_factory=Counter)
    dropped_clips: Counter[str] = field(default_factory=Counter)
    yaws: dict[str | None, NDArray[np.int64]] = field(default_factory=dict)
    expressions: Counter[str | None] = field(default_factory=Counter)

    def add(self, shots: pa.Table, tracks: pa.Table, characters: pa.Table, anchors: pa.Table, clips: pa.Table) -> None:
        """Add one video's rows of the tables of these names (of the anchors table all rows, the rejected ones too)."""
        self.videos += 1
        self.seconds += float(pc.sum(pc.subtract(shots["end_ns"], shots["start_ns"])).as_py() or 0) * 1e-9
        self.sampled += pc.sum(shots["sampled_count"]).as_py() or 0
        self.tracks += len(tracks)
        self.characters += len(characters)
        self.faces += pc.sum(tracks["faces"]).as_py() or 0
        self.observations += pc.sum(tracks["observations"]).as_py() or 0
        self.dropped_tracks += _reasons(tracks)
        self.dropped_clips += _reasons(clips)
        self.clips += _words(clips, "status").count(Status.ACCEPTED)
        self._add_anchors(anchors)

    def _add_anchors(self, anchors: pa.Table) -> None:
        kinds, subclasses, reasons = (_words(anchors, name) for name in ("kind", "subclass", "reason"))
        for (kind_word, subclass, reason), number in Counter(zip(kinds, subclasses, reasons, strict=True)).items():
            kind = AnchorKind.from_word(str(kind_word))
            if reason is None:
                self.anchors[kind, subclass] += number
            else:
                self.dropped[kind][reason] += number
            if kind == AnchorKind.EXPRESSION and reason not in (RejectReason.NO_FACE, RejectReason.NO_CHARACTER):
                self.expressions[subclass] += number
        owners = anchors["character_id"].to_pylist()
        accepted = {(kind, subclass, owner) for kind, subclass, owner, reason in zip(kinds, subclasses, owners, reasons, strict=True) if reason is None}
        self.characters_with.update((AnchorKind.from_word(str(kind)), subclass) for kind, subclass, _ in accepted)
        viewpoint = np.array([kind == AnchorKind.VIEWPOINT.word for kind in kinds], bool)
        yaw = anchors["yaw"].to_numpy()
        for word in {subclass for subclass, chosen in zip(subclasses, viewpoint, strict=True) if chosen}:
            of_word = viewpoint & np.array([subclass == word for subclass in subclasses], bool)
            self.yaws[word] = self.yaws.get(word, _no_yaws()) + np.histogram(yaw[of_word & ~np.isnan(yaw)], YAW_EDGES)[0]


def _words(table: pa.Table, name: str) -> list[str | None]:
    words: list[str | None] = table[name].cast(pa.string()).to_pylist()
    return words


def _reasons(table: pa.Table) -> Counter[str]:
    return Counter(reason for reason in _words(table, "reason") if reason is not None)
