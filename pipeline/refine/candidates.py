"""Candidates: whom a judge may be asked about, in which bin each competes, and how they compare there."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.refine.options import PolicyOptions
from schemas.vocabulary import SUBCLASSES, AnchorKind, RejectReason, Status, Viewpoint

DOUBT = 1e-6
"""What the score of a face is multiplied by whose expression the classifier leaves open: it comes after all those that select was sure of,
so that doubtful faces, however sharp, never use up the questions of better ones."""

COLUMNS = ["kind", "likeliest", "pts_ns", "shot_id", "score", "confidence", "quality"]
COLUMNS += ["selected_subclass", "selected_status", "selected_reason", "selected_rank"]


@dataclass(frozen=True)
class Candidates:
    """The K candidates of one kind, those that select chose first: of equals the earlier one is preferred, as select did.

    Attributes:
        kind: of anchor.
        classes: the words of the bins. A global anchor is to be seen from the front; that is its only class.
        rows: (K,) of the anchors table.
        bins: (K,) position in ``classes`` of the bin it belongs to before anybody judged.
        scores: (K,) by which it competes there.
        scores_elsewhere: (K,) by which it competes in the bin of another class that the judge names, among those the classifier leaves open:
            its doubt, times quality. NaN where the classifier was too sure for that.
        pts_ns: (K,).
        shots: (K,) number of the shot.
        chosen: (K,) select accepted it.
        doubtful: (K,) select did not believe the class.
    """

    kind: AnchorKind
    classes: list[str]
    rows: NDArray[np.int64]
    bins: NDArray[np.int64]
    scores: NDArray[np.float32]
    scores_elsewhere: NDArray[np.float32]
    pts_ns: NDArray[np.int64]
    shots: NDArray[np.int64]
    chosen: NDArray[np.bool_]
    doubtful: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of_kind(cls, anchors: pa.Table, kind: AnchorKind, policy: PolicyOptions) -> "Candidates":
        """The candidates among rows of the anchors table, judged before or not.

        They are those that select accepted or found good enough (OUTRANKED, TOO_CLOSE_IN_TIME), and the faces whose expression is
        uncertain but not hopeless.
        """
        vocabulary = SUBCLASSES[kind]
        classes = [Viewpoint.FRONT.word] if vocabulary is None else vocabulary.words()
        rows = np.flatnonzero(positions(anchors["kind"], [kind.word]) == 0)
        own = anchors.select(COLUMNS).take(pa.array(rows))
        chosen = positions(own["selected_status"], [Status.ACCEPTED]) == 0
        good_enough = positions(own["selected_reason"], [RejectReason.OUTRANKED, RejectReason.TOO_CLOSE_IN_TIME]) >= 0
        confidence, score = _numbers(own["confidence"]), _numbers(own["score"])
        doubtful = positions(own["selected_reason"], [RejectReason.UNCERTAIN_EXPRESSION]) == 0
        doubtful &= (confidence >= policy.least_confidence) & (policy.least_confidence < 1)
        bins = np.where(doubtful, positions(own["likeliest"], classes), positions(own["selected_subclass"], classes))
        if vocabulary is None:
            bins = np.zeros(len(rows), np.int64)
        wanted = np.flatnonzero((chosen | good_enough | doubtful) & (bins >= 0) & ~np.isnan(score))
        places = own["selected_rank"].fill_null(np.iinfo(np.int32).max).to_numpy()
        wanted = wanted[np.argsort(places[wanted], kind="stable")]
        return cls(
            kind=kind,
            classes=classes,
            rows=rows[wanted],
            bins=bins[wanted],
            scores=np.where(doubtful, score * np.float32(DOUBT), score)[wanted],
            scores_elsewhere=np.where(confidence < policy.relabel_below, (1 - confidence) * _numbers(own["quality"]) * np.float32(DOUBT), np.nan)[wanted],
            pts_ns=own["pts_ns"].to_numpy()[wanted],
            shots=pc.index_in(own["shot_id"], pc.unique(own["shot_id"])).to_numpy().astype(np.int64)[wanted],
            chosen=chosen[wanted],
            doubtful=doubtful[wanted],
        )


def positions(column: pa.ChunkedArray, words: list[str]) -> NDArray[np.int64]:
    """Each word's position in a list, -1 where it is none of them."""
    found = pc.index_in(column.cast(pa.string()), pa.array([str(word) for word in words], pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(), np.int64)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float32]:
    return np.asarray(column.fill_null(float("nan")).to_numpy(), np.float32)
