from typing import Any

import pytest

from pipeline.refine.decisions import Ruling, decide
from pipeline.refine.options import PolicyOptions
from pipeline.refine.questions import Picture, Question
from schemas.vocabulary import Agreement, Decision, Flaw, PendingReason, QuestionKind, RejectReason
from tests.pipeline.refine.made_character import verdict


def ruling(kind: str, stated: str, policy: PolicyOptions | None = None, may_move: bool = True, **said: Any) -> Ruling:
    question = Question(QuestionKind(kind), "video", "character", "anchor", stated, (Picture(0, (0, 0, 9, 9)),), kind != "global")
    return decide(verdict(question, verdict_id="v", **said), policy or PolicyOptions(), may_move)


ALL_WRONG: dict[str, Any] = {"same_person": Agreement.NO, "flaws": tuple(Flaw), "named": None, "certainty": 1}


@pytest.mark.parametrize(("kind", "stated"), [("global", "front"), ("viewpoint", "left"), ("viewpoint", "back"), ("expression", "happy")])
def test_who_is_confirmed_competes_in_the_bin_asked_about(kind: str, stated: str) -> None:
    assert ruling(kind, stated) == Ruling(Decision.ACCEPT, stated, None, "v")
    assert ruling(kind, stated, same_person=Agreement.UNSURE).decision is Decision.ACCEPT
    assert ruling(kind, stated, same_person=None).decision is Decision.ACCEPT


@pytest.mark.parametrize(
    ("kind", "stated", "said", "reason"),
    [
        ("expression", "happy", ALL_WRONG, "judged_another_person"),
        ("expression", "happy", ALL_WRONG | {"same_person": Agreement.UNSURE}, "judged_covered"),
        ("expression", "happy", {"flaws": (Flaw.BLURRED,)}, "judged_blurred"),
        ("expression", "happy", {"flaws": (Flaw.SPEAKING, Flaw.BLINKING)}, "judged_blinking"),
        ("expression", "happy", {"flaws": (Flaw.SPEAKING,), "named": "sad"}, "judged_speaking"),
        ("expression", "happy", {"named": None}, "judged_unclear"),
        ("expression", "happy", {"certainty": 2}, "judged_unclear"),
        ("expression", "happy", {"certainty": 2, "named": "sad"}, "judged_unclear"),
        ("expression", "happy", {"certainty": None}, "judged_unclear"),
        ("viewpoint", "front", {"flaws": (Flaw.BLINKING,)}, "judged_blinking"),
        ("viewpoint", "back", {"flaws": tuple(Flaw)}, "judged_blurred"),
        ("viewpoint", "back", {"flaws": (Flaw.COVERED,), "named": "left"}, "judged_covered"),
        ("global", "front", {"flaws": (Flaw.SPEAKING,)}, "judged_speaking"),
        ("global", "front", {"named": "left"}, "judged_another_class"),
    ],
)
def test_who_is_refused_has_the_first_reason_that_applies(kind: str, stated: str, said: dict[str, Any], reason: str) -> None:
    assert ruling(kind, stated, **said) == Ruling(Decision.REJECT, None, RejectReason(reason), "v")


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("front", {"flaws": (Flaw.SPEAKING,)}),
        ("back", {"flaws": (Flaw.COVERED, Flaw.BLINKING, Flaw.SPEAKING)}),
        ("left", {"flaws": (Flaw.COVERED,), "named": "back"}),
    ],
)
def test_a_flaw_counts_only_where_it_spoils_the_view(stated: str, said: dict[str, Any]) -> None:
    assert ruling("viewpoint", stated, **said).reason is None


def test_who_is_named_otherwise_competes_there_if_it_may() -> None:
    assert ruling("expression", "happy", named="sad") == Ruling(Decision.RELABEL, "sad", None, "v")
    assert ruling("viewpoint", "front", named="left") == Ruling(Decision.RELABEL, "left", None, "v")
    refused = Ruling(Decision.REJECT, None, RejectReason.JUDGED_ANOTHER_CLASS, "v")
    assert ruling("expression", "happy", may_move=False, named="sad") == refused


@pytest.mark.parametrize("problem", list(PendingReason))
def test_a_problem_leaves_it_pending(problem: PendingReason) -> None:
    assert ruling("expression", "happy", problem=problem) == Ruling(Decision.PENDING, None, problem, "v")


def test_the_least_certainty_is_certain_enough() -> None:
    assert ruling("expression", "happy", PolicyOptions(least_certainty=4), certainty=4).decision is Decision.ACCEPT
    assert ruling("expression", "happy", PolicyOptions(least_certainty=4), certainty=3).reason is RejectReason.JUDGED_UNCLEAR
