"""A small sweep of a drawn set."""

from benchmarks.refinement.judge import Errors
from benchmarks.refinement.policies import EVERYTHING, NO_RELABELLING, OURS
from benchmarks.refinement.sweep import NAMES, Curve, sweep
from tests.benchmarks.refinement.drawn_set import drawn_faces, drawn_set

SET = drawn_set(drawn_faces(40, 1))


def curves_of(policy: str, curves: list[Curve]) -> list[Curve]:
    return [curve for curve in curves if curve.policy == policy]


def test_every_policy_meets_every_judge() -> None:
    curves = list(sweep([SET], seeds=2, accuracies=(0.5, 1.0)))
    assert [(curve.errors, curve.policy) for curve in curves] == [(errors, name) for errors in Errors for name in NAMES]
    for curve in curves:
        assert curve.accuracies == [0.5, 1.0]
        assert [len(outcomes) for outcomes in curve.outcomes.values()] == [2, 2]
        assert curve.totals[1].precision == 1.0
    everything = {curve.errors: curve.totals for curve in curves_of(EVERYTHING.name, curves)}
    for curve in curves_of(NO_RELABELLING.name, curves):
        assert curve.totals[1].right == everything[curve.errors][1].right
        assert curve.totals[1].questions < everything[curve.errors][1].questions
    assert all(curve.totals[0].precision < 1 for curve in curves_of(OURS.name, curves))


def test_workers_make_no_difference() -> None:
    assert list(sweep([SET], seeds=1, accuracies=(0.6,), workers=2)) == list(sweep([SET], seeds=1, accuracies=(0.6,)))
