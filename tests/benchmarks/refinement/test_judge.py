"""The simulated judge errs as often, and in the way, it is told to."""

import math
from collections import Counter

import pytest

from benchmarks.refinement.judge import MIXED_UP, Errors, SimulatedJudge, fingerprint
from schemas.vocabulary import Expression

COUNT = 4000
PICTURES = [str(number).encode() for number in range(COUNT)]
TRUTH = {fingerprint(picture): Expression(number % 8) for number, picture in enumerate(PICTURES)}


def answers(accuracy: float, errors: Errors, stated: Expression, seed: int = 0) -> Counter[tuple[Expression, Expression]]:
    """How often which truth is given which name."""
    judge = SimulatedJudge(TRUTH, accuracy, errors, seed)
    return Counter((TRUTH[fingerprint(picture)], judge.name(picture, stated)) for picture in PICTURES)


def is_binomial(successes: int, count: int, probability: float) -> bool:
    """Within four standard deviations."""
    return abs(successes - count * probability) <= 4 * math.sqrt(count * probability * (1 - probability))


@pytest.mark.parametrize("errors", Errors)
@pytest.mark.parametrize("accuracy", [0.0, 0.6, 0.85, 1.0])
def test_it_is_right_as_often_as_it_is_told(errors: Errors, accuracy: float) -> None:
    found = answers(accuracy, errors, Expression.HAPPY)
    assert is_binomial(sum(number for (truth, named), number in found.items() if truth is named), COUNT, accuracy)


def test_uniform_errors_fall_on_all_other_classes_alike() -> None:
    found = answers(0.3, Errors.UNIFORM, Expression.HAPPY)
    for truth in Expression:
        wrong = {named: number for (true, named), number in found.items() if true is truth and named is not truth}
        assert all(is_binomial(wrong[named], sum(wrong.values()), 1 / 7) for named in Expression if named is not truth)


def test_a_suggestible_judge_repeats_what_it_is_told_when_it_does_not_know() -> None:
    found = answers(0.7, Errors.SUGGESTIBLE, Expression.SAD)
    for (truth, named), number in found.items():
        if truth is not Expression.SAD:
            assert named in {truth, Expression.SAD}
        elif named is not truth:
            assert is_binomial(number, COUNT // 8, 0.3 / 7)


def test_a_judge_that_mixes_up_names_the_class_that_is_like_it() -> None:
    found = answers(0.5, Errors.CONFUSABLE, Expression.HAPPY)
    assert {(truth, named) for truth, named in found if truth is not named} == set(MIXED_UP.items())
    assert set(MIXED_UP) == set(Expression)


@pytest.mark.parametrize("errors", Errors)
def test_the_same_picture_gets_the_same_answer_and_another_seed_errs_elsewhere(errors: Errors) -> None:
    def wrong(seed: int, accuracy: float = 0.8) -> set[bytes]:
        judge = SimulatedJudge(TRUTH, accuracy, errors, seed)
        return {picture for picture in reversed(PICTURES) if judge.name(picture, Expression.FEAR) is not TRUTH[fingerprint(picture)]}

    assert wrong(1) == wrong(1)
    assert is_binomial(len(wrong(1) & wrong(2)), COUNT, 0.04)
    assert wrong(1, 0.9) < wrong(1)


def test_a_picture_it_has_never_seen_is_an_error() -> None:
    with pytest.raises(KeyError):
        SimulatedJudge(TRUTH, 1.0, Errors.UNIFORM, 0).name(b"another", Expression.HAPPY)
