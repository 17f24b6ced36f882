"""With and without the network: the same, and where it is not, that is said."""

import pytest

from benchmarks.refinement import wire
from benchmarks.refinement.judge import Errors, SimulatedJudge
from benchmarks.refinement.policies import EVERYTHING, OURS
from benchmarks.refinement.sweep import judged_directly
from tests.benchmarks.refinement.drawn_set import drawn_faces, drawn_set

SET = drawn_set(drawn_faces(16, 0))


def test_verdicts_are_the_same_over_http() -> None:
    proof = wire.compare(SET, SimulatedJudge(SET.truth, 0.7, Errors.SUGGESTIBLE, seed=0), [OURS, EVERYTHING])
    assert proof.is_equal
    assert proof.requests == proof.questions > 20


def test_a_difference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimulatedJudge(SET.truth, 0.7, Errors.UNIFORM, seed=1)
    monkeypatch.setattr(wire, "judged_directly", lambda set_, _, policies: judged_directly(set_, other, policies))
    assert not wire.compare(SET, SimulatedJudge(SET.truth, 0.7, Errors.UNIFORM, seed=0), [OURS]).is_equal
