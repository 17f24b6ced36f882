"""The best few of each bin, spread over time and over shots."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.select.reasons import Reasons
from schemas.vocabulary import RejectReason


@dataclass(frozen=True, slots=True)
class RankingOptions:
    """How many anchors of each bin, and how far apart.

    Attributes:
        global_anchors: per character.
        viewpoint_anchors: per character and viewpoint.
        expression_anchors: per character and expression.
        min_distance: seconds between two anchors of one bin.
        same_shot: what a score is multiplied by for each anchor that its bin already has from the same shot, 0..1; 1 is no preference for other shots.
    """

    global_anchors: int = 2
    viewpoint_anchors: int = 4
    expression_anchors: int = 4
    min_distance: float = 2.0
    same_shot: float = 0.85

    def __post_init__(self) -> None:
        if min(self.global_anchors, self.viewpoint_anchors, self.expression_anchors) < 0 or self.min_distance < 0 or not 0 < self.same_shot <= 1:
            raise ValueError(f"numbers of anchors and min_distance must not be negative, same_shot must be in (0, 1]: {self}")


def rank(
    bins: NDArray[np.int64],
    scores: NDArray[np.float32],
    pts_ns: NDArray[np.int64],
    shots: NDArray[np.int64],
    quota: int,
    reasons: Reasons,
    options: RankingOptions,
) -> NDArray[np.int64]:
    """Choose greedily: the best score, then again the best of those that are far enough from all that are chosen.

    Args:
        bins: (N,) number of each candidate's bin.
        scores: (N,) higher is better; equal ones go to the earlier row.
        pts_ns: (N,).
        shots: (N,).
        quota: anchors of a bin at most.
        reasons: candidates that have one take no part; those that are not chosen get theirs here: TOO_CLOSE_IN_TIME within the
            minimum distance of a chosen one, OUTRANKED otherwise.
        options: how they are spread.

    Returns:
        (N,) rank of the chosen ones in their bin, from 0; -1 for all others.
    """
    ranks = np.full(len(bins), -1, np.int64)
    rows = np.flatnonzero(reasons.free)
    rows = rows[np.argsort(bins[rows], kind="stable")]
    close = np.zeros(len(bins), bool)
    for members in np.split(rows, np.flatnonzero(np.diff(bins[rows])) + 1):
        near = np.zeros(len(members), bool)
        effective = scores[members].astype(np.float64)
        for place in range(min(quota, len(members))):
            best = int(np.argmax(np.where(near, -np.inf, effective)))
            if near[best]:
                break
            ranks[members[best]] = place
            near |= np.abs(pts_ns[members] - pts_ns[members[best]]) < max(1, round(options.min_distance * 1e9))
            effective[shots[members] == shots[members[best]]] *= options.same_shot
        close[members] = near
    reasons.add((ranks < 0) & close, RejectReason.TOO_CLOSE_IN_TIME)
    reasons.add(ranks < 0, RejectReason.OUTRANKED)
    return ranks
