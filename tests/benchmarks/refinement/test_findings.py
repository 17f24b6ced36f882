"""What follows from made-up curves."""

import pytest

from benchmarks.refinement.findings import Finding, find
from benchmarks.refinement.policies import EVERYTHING, OURS
from tests.benchmarks.refinement.drawn_curves import ALONE, drawn_curves


def of_ours(right: tuple[int, int, int] = (59, 79, 99), questions: int = 30) -> Finding:
    findings = list(find(drawn_curves(right, questions), ALONE))
    assert len(findings) == 9
    assert EVERYTHING.name not in {finding.policy for finding in findings}
    return next(finding for finding in findings if finding.policy == OURS.name)


def test_break_even_in_precision_and_in_right_anchors() -> None:
    """Precisions are .595, .795 and .995 where .8 is to be reached, right ones 11.9, 15.9 and 19.9 per character where 8 are."""
    found = of_ours()
    assert found.pays_in_precision == pytest.approx(0.8 + 0.2 * 0.005 / 0.2)
    assert found.pays_in_anchors == 0.6


def test_no_judge_is_good_enough() -> None:
    assert of_ours(right=(50, 60, 70)).pays_in_precision is None


@pytest.mark.parametrize(
    ("right", "questions", "holds"),
    [((59, 79, 99), 50, True), ((10, 10, 98), 30, True), ((59, 79, 95), 30, False), ((59, 79, 99), 51, False)],
    ids=["half the questions", "less precise by one with a good judge", "less precise by four", "more than half"],
)
def test_the_same_precision_with_at_most_half_the_questions(right: tuple[int, int, int], questions: int, holds: bool) -> None:
    found = of_ours(right, questions)
    assert found.holds is holds
    assert found.questions == questions / 100
    assert found.lowest.accuracy == 1.0
    assert found.lowest.precision == pytest.approx((right[2] - 99) / 100)
