"""What follows from the curves: from which judge on a policy pays, and how it compares with asking about everything."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.refinement.judge import Errors
from benchmarks.refinement.outcomes import Outcome, break_even, difference
from benchmarks.refinement.policies import EVERYTHING
from benchmarks.refinement.sweep import Curve

GOOD_JUDGE = 0.9
"""Accuracy from which the comparison with asking about everything must hold: below, no policy is worth its anchors."""
SAME, ERRORS_OF_MEAN = 0.03, 2.0
"""Precisions are the same when they differ by no more than this, or by no more than so many standard errors of the difference. The errors
come from judges and splits; that the faces are few is not in them: one anchor more or less of JAFFE's 25 is .04."""
HALF = 0.5


@dataclass(frozen=True)
class Comparison:
    """A policy and asking everything, at one accuracy of the judge.

    Attributes:
        accuracy: of the judge.
        precision: mean difference; above 0 the policy's is higher.
        error: standard error of that mean.
        questions: share of the questions that asking everything takes.
    """

    accuracy: float
    precision: float
    error: float
    questions: float

    @property
    def is_same(self) -> bool:
        """Whether the policy's precision is not lower beyond noise."""
        return self.precision >= -max(SAME, ERRORS_OF_MEAN * self.error)


@dataclass(frozen=True)
class Finding:
    """About one policy, with judges that err in one way, on one set.

    Attributes:
        set: the labelled set's folder.
        errors: how the judges err.
        policy: its name.
        pays_in_precision: accuracy of the judge from which anchors are no less precise than without any; None: from none that was measured.
        pays_in_anchors: likewise, from which there are no fewer right anchors.
        comparisons: with asking everything, one per accuracy.
    """

    set: str
    errors: Errors
    policy: str
    pays_in_precision: float | None
    pays_in_anchors: float | None
    comparisons: tuple[Comparison, ...]

    @property
    def lowest(self) -> Comparison:
        """Where a good judge's precision falls short most."""
        return min((one for one in self.comparisons if one.accuracy >= GOOD_JUDGE), key=lambda one: one.precision)

    @property
    def is_as_precise(self) -> bool:
        """Whether, with good judges, precision is the same as when everything is asked about."""
        return all(one.is_same for one in self.comparisons if one.accuracy >= GOOD_JUDGE)

    @property
    def questions(self) -> float:
        """The largest share of the questions that asking everything takes, with any judge."""
        return max(one.questions for one in self.comparisons)

    @property
    def holds(self) -> bool:
        """The same precision with at most half the questions."""
        return self.is_as_precise and self.questions <= HALF


def find(curves: Sequence[Curve], alone: Mapping[str, Outcome]) -> Iterator[Finding]:
    """Of each curve but those of asking everything what follows from it.

    Args:
        curves: of all policies.
        alone: what the classifier does without a judge, by set.
    """
    everything = {(curve.set, curve.errors): curve for curve in curves if curve.policy == EVERYTHING.name}
    for curve in curves:
        if curve.policy != EVERYTHING.name:
            before, other, totals = alone[curve.set], everything[curve.set, curve.errors], curve.totals
            yield Finding(
                curve.set,
                curve.errors,
                curve.policy,
                break_even(curve.accuracies, [outcome.precision for outcome in totals], before.precision),
                break_even(curve.accuracies, [outcome.right / outcome.characters for outcome in totals], before.right / before.characters),
                tuple(_compare(curve, other, accuracy) for accuracy in curve.accuracies),
            )


def _compare(curve: Curve, everything: Curve, accuracy: float) -> Comparison:
    these, those = curve.outcomes[accuracy], everything.outcomes[accuracy]
    share = sum(one.questions for one in these) / sum(one.questions for one in those)
    return Comparison(accuracy, *difference(these, those), share)
