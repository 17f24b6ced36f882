"""The numbers of a whole run, summed up video by video, so that no more than one video's rows are ever in memory."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.report.verdicts import VerdictSums
from schemas.vocabulary import AnchorKind, Decision, RejectReason, Status

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
        captioned: those of them that have a caption.
        anchors: accepted ones of each bin.
        pending: those of each bin that wait for a judge.
        characters_with: characters that have an accepted anchor in the bin.
        dropped: of each kind, rejected candidates by reason.
        decisions: candidates that a judge has decided about, by the decision.
        refused: candidates that a judge refused, by reason.
        dropped_tracks: tracks without a character by reason.
        dropped_clips: rejected spans by reason.
        yaws: of each viewpoint word (None where the classifier abstains), observations by yaw, between YAW_EDGES.
        expressions: characters' faces by the classifier's expression word (None where it abstains).
        verdicts: what a judge was asked and what it answered.
    """

    videos: int = 0
    seconds: float = 0.0
    sampled: int = 0
    faces: int = 0
    observations: int = 0
    tracks: int = 0
    characters: int = 0
    clips: int = 0
    captioned: int = 0
    anchors: Counter[Bin] = field(default_factory=Counter)
    pending: Counter[Bin] = field(default_factory=Counter)
    characters_with: Counter[Bin] = field(default_factory=Counter)
    dropped: dict[AnchorKind, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in AnchorKind})
    decisions: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    dropped_tracks: Counter[str] = field(default_factory=Counter)
    dropped_clips: Counter[str] = field(default_factory=Counter)
    yaws: dict[str | None, NDArray[np.int64]] = field(default_factory=dict)
    expressions: Counter[str | None] = field(default_factory=Counter)
    verdicts: VerdictSums = field(default_factory=VerdictSums)

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
        accepted = clips.filter(pc.equal(clips["status"].cast(pa.string()), Status.ACCEPTED))
        self.clips += len(accepted)
        self.captioned += len(accepted) - accepted["caption"].null_count
        self._add_anchors(anchors)
        self._add_classes(anchors)

    def _add_anchors(self, anchors: pa.Table) -> None:
        names = ("kind", "subclass", "status", "reason", "decision")
        for (kind_word, subclass, status, reason, decision), number in Counter(zip(*(_words(anchors, name) for name in names), strict=True)).items():
            kind = AnchorKind.from_word(str(kind_word))
            if status == Status.ACCEPTED:
                self.anchors[kind, subclass] += number
            elif status == Status.PENDING:
                self.pending[kind, subclass] += number
            else:
                self.dropped[kind][str(reason)] += number
            if decision not in (None, Decision.PENDING):
                self.decisions[str(decision)] += number
            if decision == Decision.REJECT:
                self.refused[str(reason)] += number
        accepted = anchors.filter(pc.equal(anchors["status"].cast(pa.string()), Status.ACCEPTED))
        having = set(zip(_words(accepted, "kind"), _words(accepted, "subclass"), accepted["character_id"].to_pylist(), strict=True))
        self.characters_with.update((AnchorKind.from_word(str(kind)), subclass) for kind, subclass, _ in having)

    def _add_classes(self, anchors: pa.Table) -> None:
        """What the classifiers said, whatever a judge made of it."""
        kinds, subclasses, reasons = (_words(anchors, name) for name in ("kind", "selected_subclass", "selected_reason"))
        for (kind, subclass, reason), number in Counter(zip(kinds, subclasses, reasons, strict=True)).items():
            if kind == AnchorKind.EXPRESSION.word and reason not in (RejectReason.NO_FACE, RejectReason.NO_CHARACTER):
                self.expressions[subclass] += number
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
