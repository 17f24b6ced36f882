"""Policies on a hand-made character whose every question can be counted by hand, with a judge who is always right."""

import asyncio

from benchmarks.refinement.direct import DirectClient
from benchmarks.refinement.judge import Errors, SimulatedJudge
from benchmarks.refinement.outcomes import Outcome, count
from benchmarks.refinement.policies import EVERYTHING, NO_RELABELLING, OURS, SURE_ALONE, Policy
from benchmarks.refinement.pools import split
from benchmarks.refinement.sweep import refine_all
from pipeline.refine.prompting import load_prompts
from schemas.vocabulary import Expression
from tests.benchmarks.refinement.drawn_set import Face, drawn_set

HAPPY, SAD, ANGRY = Expression.HAPPY, Expression.SAD, Expression.ANGRY

SURE: list[Face] = [(SAD if place in {0, 2} else HAPPY, HAPPY, 0.99 - place / 100, True) for place in range(9)]
"""Nine faces said to be happy; the best and the third best are sad."""
UNSURE: list[Face] = [(SAD, SAD, 0.5, False), (SAD, ANGRY, 0.4, False), (HAPPY, SAD, 0.2, False)]
"""One that is what it seems, one that is not, and one that nobody asks about."""


def refined(faces: list[Face], policy: Policy) -> Outcome:
    set_ = drawn_set(faces)
    client = DirectClient(SimulatedJudge(set_.truth, 1.0, Errors.UNIFORM, 0), load_prompts())
    return asyncio.run(refine_all(set_, 0, client, policy)).outcome


def test_without_a_judge_two_of_the_four_best_are_right() -> None:
    (found,) = split("expression_jaffe", drawn_set(SURE + UNSURE).candidates, 0)
    assert count(found.anchors, found.truth) == Outcome(right=2, filled=4, characters=1)


def test_a_bin_is_asked_about_until_it_is_full() -> None:
    """Of the happy ones the best four and the two that take the places of those refused; both unsure ones."""
    assert refined(SURE + UNSURE, NO_RELABELLING) == Outcome(right=5, filled=5, questions=8, characters=1)


def test_asking_everything_ends_with_the_same_anchors_and_more_questions() -> None:
    assert refined(SURE + UNSURE, EVERYTHING) == Outcome(right=5, filled=5, questions=11, characters=1)


def test_sure_faces_alone_leave_the_others_in_peace() -> None:
    assert refined(UNSURE, SURE_ALONE) == Outcome(characters=1)


def test_a_face_that_was_taken_for_another_class_fills_a_place_there() -> None:
    assert refined(UNSURE, OURS) == Outcome(right=2, filled=2, relabelled_right=1, relabelled=1, questions=2, characters=1)
