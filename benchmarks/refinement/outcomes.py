"""What came of judging: how many anchors are right, how many places are filled, how many questions it took, and from where on it pays."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pyarrow as pa

from schemas.vocabulary import Decision, Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sums over characters.

    Attributes:
        right: anchors whose class is the labelled one.
        filled: anchors.
        relabelled_right: of the right ones those that the judge put into another bin than the classifier.
        relabelled: of all anchors, likewise.
        questions: that were asked.
        characters: how many.
    """

    right: int = 0
    filled: int = 0
    relabelled_right: int = 0
    relabelled: int = 0
    questions: int = 0
    characters: int = 0

    @property
    def precision(self) -> float:
        """Share of the anchors that are right; NaN without anchors."""
        return self.right / self.filled if self.filled else float("nan")

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))


def count(anchors: pa.Table, truth: Mapping[str, str], questions: int = 0) -> Outcome:
    """The outcome of one character.

    Args:
        anchors: its candidates; those accepted count.
        truth: the right word of each anchor_id.
        questions: that were asked about it.
    """
    rows = anchors.select(["anchor_id", "subclass", "status", "decision"]).to_pylist()
    found = Outcome(questions=questions, characters=1)
    for row in rows:
        if row["status"] == Status.ACCEPTED:
            right, moved = int(truth[row["anchor_id"]] == row["subclass"]), int(row["decision"] == Decision.RELABEL)
            found += Outcome(right, 1, right * moved, moved)
    return found


def total(outcomes: Sequence[Outcome]) -> Outcome:
    """All of them together."""
    return sum(outcomes, Outcome())


def difference(these: Sequence[Outcome], those: Sequence[Outcome]) -> tuple[float, float]:
    """Mean difference in precision of two policies over the same seeds, and its standard error."""
    differences = np.array([one.precision - other.precision for one, other in zip(these, those, strict=True)])
    return float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))


def break_even(accuracies: Sequence[float], values: Sequence[float], bar: float) -> float | None:
    """The judge's accuracy from which values stay at or above a bar, interpolated linearly.

    Args:
        accuracies: ascending.
        values: one each.
        bar: to be reached.

    Returns:
        the least accuracy measured when values are never below, None when the last one is.
    """
    below = [number for number, value in enumerate(values) if value < bar]
    if not below:
        return accuracies[0]
    last = below[-1]
    if last + 1 == len(values):
        return None
    share = (bar - values[last]) / (values[last + 1] - values[last])
    return accuracies[last] + share * (accuracies[last + 1] - accuracies[last])
