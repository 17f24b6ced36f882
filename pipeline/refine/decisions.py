"""What becomes of a candidate by the judge's words. A verdict holds what was said; what follows from it is decided anew each time."""

from dataclasses import dataclass

from pipeline.refine.options import PolicyOptions
from pipeline.refine.verdicts import Verdict
from schemas.vocabulary import Agreement, Decision, Flaw, PendingReason, QuestionKind, RejectReason, Viewpoint

FLAWS = {
    QuestionKind.GLOBAL: (Flaw.COVERED, Flaw.BLURRED, Flaw.BLINKING, Flaw.SPEAKING),
    QuestionKind.VIEWPOINT: (Flaw.COVERED, Flaw.BLURRED, Flaw.BLINKING),
    QuestionKind.EXPRESSION: (Flaw.COVERED, Flaw.BLURRED, Flaw.BLINKING, Flaw.SPEAKING),
}
"""The flaws that count, by what is asked, the weightiest first."""

REASONS = {
    Flaw.COVERED: RejectReason.JUDGED_COVERED,
    Flaw.BLURRED: RejectReason.JUDGED_BLURRED,
    Flaw.BLINKING: RejectReason.JUDGED_BLINKING,
    Flaw.SPEAKING: RejectReason.JUDGED_SPEAKING,
}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a candidate that was asked about.

    Attributes:
        decision: of the judge.
        competes_in: the class in whose bin it competes from now on; None when it competes nowhere.
        reason: why not; None when it does.
        verdict_id: what this rests on.
    """

    decision: Decision
    competes_in: str | None
    reason: RejectReason | PendingReason | None
    verdict_id: str


def decide(verdict: Verdict, policy: PolicyOptions, may_move: bool) -> Ruling:
    """The ruling on a candidate, from the verdict on a question about a person.

    A refusal has the first reason that applies of: another person; a flaw; no class, or none that is certain enough; another class,
    where the candidate may not move or (of a global anchor, which must be seen from the front) there is no other bin.

    Args:
        verdict: on the candidate.
        policy: what counts.
        may_move: it may compete in the bin of another class.
    """
    if verdict.problem is not None:
        return Ruling(Decision.PENDING, None, verdict.problem, verdict.verdict_id)
    if (reason := _refusal(verdict, policy, may_move)) is not None:
        return Ruling(Decision.REJECT, None, reason, verdict.verdict_id)
    decision = Decision.ACCEPT if verdict.named == verdict.stated else Decision.RELABEL
    return Ruling(decision, verdict.named, None, verdict.verdict_id)


def _refusal(verdict: Verdict, policy: PolicyOptions, may_move: bool) -> RejectReason | None:
    if verdict.same_person is Agreement.NO:
        return RejectReason.JUDGED_ANOTHER_PERSON
    for flaw in _flaws_that_count(verdict):
        if flaw in verdict.flaws:
            return REASONS[flaw]
    if verdict.named is None or (verdict.certainty or 0) < policy.least_certainty:
        return RejectReason.JUDGED_UNCLEAR
    has_other_bins = may_move and verdict.question is not QuestionKind.GLOBAL
    return RejectReason.JUDGED_ANOTHER_CLASS if verdict.named != verdict.stated and not has_other_bins else None


def _flaws_that_count(verdict: Verdict) -> tuple[Flaw, ...]:
    """Of what is seen from behind only the picture can be flawed: there is no face."""
    seen = verdict.named or verdict.stated
    if verdict.question is QuestionKind.VIEWPOINT and seen == Viewpoint.BACK.word:
        return (Flaw.BLURRED,)
    return FLAWS[verdict.question]
