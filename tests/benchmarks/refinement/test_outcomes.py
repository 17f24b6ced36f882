"""Figures against hand-made tables, whose answers can be told by looking."""

import math

import numpy as np
import pytest

from benchmarks.refinement.outcomes import Outcome, break_even, count, difference, total
from benchmarks.refinement.pools import pool
from schemas.vocabulary import Expression
from tests.benchmarks.refinement.drawn_set import candidates_of

HAPPY, SAD = Expression.HAPPY, Expression.SAD


def test_accepted_rows_are_compared_with_their_labels() -> None:
    faces = candidates_of([(HAPPY, HAPPY, 0.9, True), (SAD, HAPPY, 0.8, True), (SAD, SAD, 0.5, False)])
    found = pool("somebody", faces, np.arange(3))
    assert count(found.anchors, found.truth, questions=7) == Outcome(right=1, filled=2, questions=7, characters=1)


def test_sums_and_precision() -> None:
    both = total([Outcome(3, 4, 1, 2, 10, 1), Outcome(1, 4, 0, 0, 20, 1)])
    assert both == Outcome(4, 8, 1, 2, 30, 2)
    assert both.precision == 0.5
    assert math.isnan(Outcome().precision)


def test_difference_of_paired_seeds() -> None:
    these, those = [Outcome(9, 10), Outcome(8, 10)], [Outcome(8, 10), Outcome(4, 10)]
    mean, error = difference(these, those)
    assert mean == pytest.approx(0.25)
    assert error == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.7, 0.9], 0.9),
        ([0.8, 0.8, 0.9], 0.6),
        ([0.5, 0.6, 0.7], None),
        ([0.9, 0.6, 1.0], 0.9),
        ([0.5, 0.8, 0.8], 0.8),
    ],
)
def test_break_even_is_where_values_stay_at_the_bar_for_good(values: list[float], expected: float | None) -> None:
    assert break_even([0.6, 0.8, 1.0], values, 0.8) == (None if expected is None else pytest.approx(expected))
