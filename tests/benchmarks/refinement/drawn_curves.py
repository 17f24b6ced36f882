"""Curves that are made up, so that what follows from them is known."""

from benchmarks.refinement.judge import Errors
from benchmarks.refinement.outcomes import Outcome
from benchmarks.refinement.policies import EVERYTHING
from benchmarks.refinement.sweep import NAMES, Curve

ALONE = {"expression_jaffe": Outcome(right=80, filled=100, characters=10)}
UNCHECKED = {"expression_jaffe": Outcome(right=90, filled=150, characters=10)}


def curve(policy: str, errors: Errors, right: tuple[int, int, int], questions: int) -> Curve:
    """Two seeds, of which the second is right once more, with 100 anchors and five characters each; judges of 60, 80 and 100%."""
    outcomes = {
        accuracy: [Outcome(number + seed, 100, questions=questions, characters=5) for seed in (0, 1)]
        for accuracy, number in zip((0.6, 0.8, 1.0), right, strict=True)
    }
    return Curve("expression_jaffe", errors, policy, outcomes)


def drawn_curves(right: tuple[int, int, int] = (59, 79, 99), questions: int = 30) -> list[Curve]:
    """All policies alike, but asking everything takes 100 questions and is right in 59, 79 and 99 of 100."""
    return [curve(name, errors, (59, 79, 99), 100) if name == EVERYTHING.name else curve(name, errors, right, questions) for errors in Errors for name in NAMES]
