"""When an arm comes out as expected."""

import pytest

from benchmarks.ablation.arms import ARMS
from benchmarks.ablation.drawn import CLASSES
from benchmarks.ablation.scores import Scores


@pytest.mark.parametrize(
    ("name", "scores", "met"),
    [
        ("superset, class offsets", Scores(0.05, 1.0, 0.98), True),
        ("superset, class offsets", Scores(0.12, 1.0, 1.0), False),
        ("superset, class offsets", Scores(0.05, 0.9, 0.9), False),
        ("anchors from the clip alone", Scores(0.95, 0.2, 0.3), True),
        ("anchors from the clip alone", Scores(0.85, 1.0, 1.0), False),
        ("kinds alone", Scores(0.05, 0.3, 0.4), True),
        ("kinds alone", Scores(0.05, 0.6, 0.4), False),
    ],
)
def test_expectations(name: str, scores: Scores, met: bool) -> None:
    assert ARMS[name].met(scores) is met


def test_arms_differ_from_the_paper_in_one_thing() -> None:
    paper, *others = ARMS.values()
    usual = paper.positions(0).of(CLASSES)
    for arm in others:
        assert (arm.outside_share != paper.outside_share) != (arm.positions(0).of(CLASSES) != usual)
