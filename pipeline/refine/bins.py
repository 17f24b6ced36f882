"""Filling the bins of one kind with candidates that the judge confirms: who is asked about, and who is chosen.

It goes in rounds, and it is always played through from the first one with the answers that are known. A round's questions follow from the
answers to the rounds before it, whenever and in whatever order those came. So a job that was interrupted in the middle of a round goes on
with exactly the questions that it would have asked anyway, and ends with the same verdicts.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.refine.candidates import Candidates
from pipeline.refine.decisions import Ruling
from pipeline.select.ranking import RankingOptions, rank
from pipeline.select.reasons import Reasons
from schemas.vocabulary import Decision, RejectReason

Mask = NDArray[np.bool_]

KEPT = (Decision.ACCEPT, Decision.RELABEL)


class Bins:
    """The bins of one kind, as far as they are filled. Candidates go by their number, 0..K-1.

    Attributes:
        candidates: K of them.
        quota: anchors of a bin at most.
        ranking: how they are spread.
        left: (B,) questions that each bin may still ask.
        rulings: on those that were asked about, in the order they are asked; None while there is no answer.
        competes_in: (K,) position of the class in whose bin it competes.
        places: (K,) rank in its bin; -1 for those that are not among the anchors. First the chosen ones, confirmed or waiting for an
            answer, then, behind them, those to whose question there is no usable answer: they take nobody's place.
        too_close: (K,) not chosen because a better one of the bin is too near in time.
        spent: (K,) it would be next, but its bin may not ask any more.
    """

    def __init__(self, candidates: Candidates, quota: int, questions_per_anchor: int, ranking: RankingOptions) -> None:
        count = len(candidates)
        self.candidates, self.quota, self.ranking = candidates, quota, ranking
        self.left: NDArray[np.int64] = np.full(len(candidates.classes), questions_per_anchor * quota)
        self.rulings: dict[int, Ruling | None] = {}
        self.competes_in: NDArray[np.int64] = candidates.bins.copy()
        self.places: NDArray[np.int64] = np.full(count, -1, np.int64)
        self.too_close: Mask = np.zeros(count, bool)
        self.spent: Mask = np.zeros(count, bool)
        self._scores = candidates.scores.copy()
        self._asked, self._confirmed, self._out = (np.zeros(count, bool) for _ in range(3))

    @property
    def open(self) -> list[int]:
        """Those whose answer is wanted now, bin by bin, the best first."""
        return [number for number, ruling in self.rulings.items() if ruling is None]

    @property
    def keeps_one(self) -> bool:
        """Whether an anchor, accepted or pending, will be left whatever else is answered."""
        return any(
            ruling is not None and (ruling.decision in KEPT or (ruling.decision is Decision.PENDING and not self.candidates.doubtful[number]))
            for number, ruling in self.rulings.items()
        )

    def next_round(self) -> list[int]:
        """Whom to ask about next: of the chosen ones those nobody was asked about, as many as their bin may ask; bin by bin, the best first."""
        ranks, _ = self._rank(~self._out)
        wanted = np.flatnonzero((ranks >= 0) & ~self._asked)
        wanted = wanted[np.lexsort((ranks[wanted], self.competes_in[wanted]))]
        bins = self.competes_in[wanted]
        number_in_bin = np.arange(len(wanted)) - np.searchsorted(bins, bins)
        return [int(number) for number in wanted[number_in_bin < self.left[bins]]]

    def note(self, number: int, ruling: Ruling | None) -> None:
        """What the answer to the question about a candidate means; None while there is none."""
        self.rulings[number] = ruling
        self._asked[number] = True
        self.left[self.candidates.bins[number]] -= 1
        if ruling is None:
            return
        if ruling.competes_in is None:
            self._out[number] = True
            return
        self._confirmed[number] = True
        self.competes_in[number] = self.candidates.classes.index(ruling.competes_in)
        if self.competes_in[number] != self.candidates.bins[number]:
            self._scores[number] = self.candidates.scores_elsewhere[number]

    def settle(self) -> None:
        """Choose, as far as answers are known: among the confirmed, and those that may still be and that select was sure of."""
        may_ask = self.left[self.candidates.bins] > 0
        waiting = (self._asked | may_ask) & ~self._confirmed & ~self.candidates.doubtful
        self.places, self.too_close = self._rank(~self._out & (self._confirmed | waiting))
        best, _ = self._rank(~self._out)
        self.spent = (best >= 0) & ~self._asked & ~may_ask
        taken = np.bincount(self.competes_in[self.places >= 0], minlength=len(self.left))
        pending = [number for number, ruling in self.rulings.items() if ruling is not None and ruling.decision is Decision.PENDING]
        for number in sorted(pending, key=lambda number: (-self._scores[number], number)):
            self.places[number] = taken[self.competes_in[number]]
            taken[self.competes_in[number]] += 1

    def _rank(self, pool: Mask) -> tuple[NDArray[np.int64], Mask]:
        """(K,) rank of the chosen ones, and which of the others are too close to one."""
        reasons = Reasons(len(self.candidates))
        reasons.add(~pool, RejectReason.OUTRANKED)
        ranks = rank(self.competes_in, self._scores, self.candidates.pts_ns, self.candidates.shots, self.quota, reasons, self.ranking)
        return ranks, reasons.only(RejectReason.TOO_CLOSE_IN_TIME)


def fill_bins(candidates: Candidates, quota: int, questions_per_anchor: int, ranking: RankingOptions, answer: Callable[[int], Ruling | None]) -> Bins:
    """Fill the bins, as far as answers are known.

    Each round chooses as select does, among all that have not been refused, and asks about those chosen that nobody was asked about. It
    ends when all chosen ones are confirmed, when the questions are spent, or with the first round that lacks an answer.

    Args:
        candidates: of one kind.
        quota: anchors of a bin at most.
        questions_per_anchor: a bin asks this many times its quota at most. A candidate that comes from another bin was asked about there.
        ranking: how anchors are spread.
        answer: to the question about a candidate, by its number; None where it is not known.
    """
    bins = Bins(candidates, quota, questions_per_anchor, ranking)
    while not bins.open and (asked := bins.next_round()):
        for number in asked:
            bins.note(number, answer(number))
    bins.settle()
    return bins
