from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.select.ranking import RankingOptions, rank
from pipeline.select.reasons import Reasons
from schemas.vocabulary import RejectReason

SECOND = 1_000_000_000


def ranked(scores: list[float], seconds: list[float], shots: list[int] | None = None, quota: int = 3, **options: Any) -> tuple[list[int], list[str | None]]:
    reasons = Reasons(len(scores))
    ranks = rank(
        np.zeros(len(scores), np.int64),
        np.array(scores, np.float32),
        np.array([round(second * SECOND) for second in seconds], np.int64),
        np.array(shots or [0] * len(scores), np.int64),
        quota,
        reasons,
        RankingOptions(**options),
    )
    return ranks.tolist(), reasons.column().to_pylist()


def test_the_best_are_chosen_far_enough_apart() -> None:
    ranks, reasons = ranked([0.5, 0.9, 0.8, 0.7, 0.1], [0, 5, 6, 20, 40], quota=2, min_distance=2.0, same_shot=1.0)
    assert ranks == [-1, 0, -1, 1, -1]
    assert reasons == ["outranked", None, "too_close_in_time", None, "outranked"]


def test_exactly_the_minimum_distance_is_far_enough() -> None:
    assert ranked([0.9, 0.8], [0, 2], min_distance=2.0)[0] == [0, 1]


def test_another_shot_is_preferred_when_scores_are_close_but_not_when_they_are_not() -> None:
    assert ranked([0.9, 0.85, 0.8], [0, 10, 20], [0, 0, 1], quota=2, same_shot=0.85)[0] == [0, -1, 1]
    assert ranked([0.9, 0.85, 0.6], [0, 10, 20], [0, 0, 1], quota=2, same_shot=0.85)[0] == [0, 1, -1]


def test_bins_do_not_know_of_each_other_and_rejected_candidates_take_no_part() -> None:
    reasons = Reasons(4)
    reasons.add(np.array([True, False, False, False]), RejectReason.BLURRED)
    ranks = rank(np.array([0, 0, 1, 1]), np.ones(4, np.float32), np.zeros(4, np.int64), np.zeros(4, np.int64), 2, reasons, RankingOptions())
    assert ranks.tolist() == [-1, 0, 0, -1]
    assert reasons.column().to_pylist() == ["blurred", None, None, "too_close_in_time"]


def test_a_quota_of_none_chooses_none() -> None:
    assert ranked([1.0], [0], quota=0) == ([-1], ["outranked"])


candidates = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100), st.integers(0, 60), st.integers(0, 2), st.booleans()), max_size=60)


@given(candidates, st.integers(0, 4), st.integers(0, 10))
@settings(max_examples=200, deadline=None)
def test_whatever_the_candidates(rows: list[tuple[int, int, int, int, bool]], quota: int, distance: int) -> None:
    bins, scores, seconds, shots, bad = (np.array(column, np.int64) for column in (zip(*rows, strict=True) if rows else ([],) * 5))
    reasons = Reasons(len(rows))
    reasons.add(bad.astype(bool), RejectReason.BLURRED)
    ranks = rank(bins, scores.astype(np.float32), seconds * SECOND, shots, quota, reasons, RankingOptions(min_distance=distance))
    assert ((ranks >= 0) == reasons.free).all(), "a candidate is either chosen or has a reason"
    assert not (ranks[bad == 1] >= 0).any()
    for number in np.unique(bins):
        chosen = np.flatnonzero((bins == number) & (ranks >= 0))
        assert sorted(ranks[chosen]) == list(range(len(chosen)))
        assert len(chosen) <= quota
        gaps = np.diff(np.sort(seconds[chosen]))
        assert (gaps >= max(distance, 1)).all()
        possible = (bins == number) & (bad == 0)
        if quota and possible.any():
            assert scores[chosen[ranks[chosen] == 0]] == scores[possible].max()


@pytest.mark.parametrize("wrong", [{"min_distance": -1.0}, {"same_shot": 0.0}, {"global_anchors": -1}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        RankingOptions(**wrong)  # type: ignore[arg-type]
