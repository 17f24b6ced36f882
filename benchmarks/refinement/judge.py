"""A judge that knows the labels and errs as often, and in the way, it is told to."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.vocabulary import Expression


class Errors(StrEnum):
    """How a judge errs."""

    UNIFORM = "uniform"
    """It names any other class."""
    SUGGESTIBLE = "suggestible"
    """It repeats the stated class where that is wrong, and else names any other: what models tend to."""
    CONFUSABLE = "confusable"
    """It names the class that people mix up with the right one."""


MIXED_UP = {
    Expression.NEUTRAL: Expression.SAD,
    Expression.HAPPY: Expression.CONTEMPT,
    Expression.SAD: Expression.NEUTRAL,
    Expression.ANGRY: Expression.DISGUST,
    Expression.SURPRISE: Expression.FEAR,
    Expression.FEAR: Expression.SURPRISE,
    Expression.DISGUST: Expression.ANGRY,
    Expression.CONTEMPT: Expression.HAPPY,
}


CERTAINTY = 4
"""Of every answer: whether models are surer of what is right is another question."""


@dataclass(frozen=True)
class SimulatedJudge:
    """Answers depend on the picture, the stated class and the seed alone, never on the order of questions.

    Who is right more often is right about everything that another judge of the same seed and kind is right about, so that curves over
    the accuracy are not blurred by luck.

    Attributes:
        truth: the class of each picture, by ``fingerprint``.
        accuracy: share of pictures whose class it knows, 0..1.
        errors: what it says of the others.
        seed: which pictures those are.
    """

    truth: Mapping[str, Expression]
    accuracy: float
    errors: Errors
    seed: int

    @property
    def model(self) -> str:
        """The id it goes by."""
        return f"simulated-{self.errors}-{self.accuracy:.3f}-{self.seed}"

    def name(self, jpeg: bytes, stated: Expression) -> Expression:
        """The class it sees in a picture.

        Raises:
            KeyError: the picture is none of those it knows.
        """
        key = fingerprint(jpeg)
        truth = self.truth[key]
        known, which = _two_numbers(key, self.seed)
        if known < self.accuracy:
            return truth
        if self.errors is Errors.SUGGESTIBLE and stated is not truth:
            return stated
        if self.errors is Errors.CONFUSABLE:
            return MIXED_UP[truth]
        others = [code for code in Expression if code is not truth]
        return others[int(which * len(others))]


def fingerprint(jpeg: bytes) -> str:
    """By what a picture is recognised."""
    return hashlib.sha256(jpeg).hexdigest()


def _two_numbers(key: str, seed: int) -> tuple[float, float]:
    """Two independent numbers in [0, 1) that look random."""
    digest = hashlib.sha256(f"{seed} {key}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48, int.from_bytes(digest[6:12]) / 2**48
