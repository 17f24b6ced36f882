"""The sweep for a terminal and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from benchmarks.refinement.findings import GOOD_JUDGE, HALF, Finding
from benchmarks.refinement.outcomes import Outcome
from benchmarks.refinement.pools import WANTED
from benchmarks.refinement.sweep import Curve
from benchmarks.refinement.wire import Proof


def curves_table(curves: Sequence[Curve], alone: Outcome, unchecked: Outcome) -> Table:
    """All policies on one set, with judges that err in one way.

    Args:
        curves: one per policy.
        alone: the classifier with select's thresholds.
        unchecked: the classifier believed about everything that is asked about.
    """
    title = f"{curves[0].set}, judges with {curves[0].errors} errors: precision · right of filled anchors · questions, per character ({WANTED} wanted)"
    table = Table(title=title, title_justify="left")
    table.add_column("judge")
    for curve in curves:
        table.add_column(curve.policy, justify="right")
    for name, outcome in (("none", alone), ("none, no thresholds", unchecked)):
        table.add_row(name, _cell(outcome), *[""] * (len(curves) - 1))
    table.add_section()
    for number, accuracy in enumerate(curves[0].accuracies):
        table.add_row(f"{accuracy:.0%}", *(_cell(curve.totals[number]) for curve in curves))
    return table


def _cell(outcome: Outcome) -> str:
    count = outcome.characters
    return f"{outcome.precision:.3f} · {outcome.right / count:4.1f} of {outcome.filled / count:4.1f} · {outcome.questions / count:3.0f}"


def findings_table(findings: Iterable[Finding]) -> Table:
    """From which judge on each policy pays, and how it compares with asking everything."""
    title = f"From which judge on anchors are as good as without any; with judges from {GOOD_JUDGE:.0%}, the difference to asking everything"
    table = Table(title=title, title_justify="left")
    for column in ("set", "errors", "policy", "as precise", "as many right", "precision, at worst", "questions, at most"):
        table.add_column(column, justify="left" if column in {"set", "errors", "policy"} else "right")
    before = None
    for one in findings:
        if before is not None and before != (one.set, one.errors):
            table.add_section()
        before = one.set, one.errors
        lowest, verdict = one.lowest, "same" if one.is_as_precise else "LOWER"
        precision = f"{lowest.precision:+.3f} ± {lowest.error:.3f} at {lowest.accuracy:.0%}: {verdict}"
        questions = f"{one.questions:.0%}" + ("" if one.questions <= HALF else ": TOO MANY")
        table.add_row(one.set, one.errors, one.policy, _from(one.pays_in_precision), _from(one.pays_in_anchors), precision, questions)
    return table


def _from(accuracy: float | None) -> str:
    return "from none" if accuracy is None else f"from {accuracy:.1%}"


def as_json(
    curves: Sequence[Curve],
    findings: Iterable[Finding],
    proofs: Mapping[str, Proof],
    alone: Mapping[str, Outcome],
    unchecked: Mapping[str, Outcome],
) -> dict[str, Any]:
    """Everything, for other programs."""
    return {
        "wanted_per_character": WANTED,
        "without_judge": {name: _figures(outcome) for name, outcome in alone.items()},
        "without_judge_and_thresholds": {name: _figures(outcome) for name, outcome in unchecked.items()},
        "curves": [
            {
                "set": curve.set,
                "errors": curve.errors,
                "policy": curve.policy,
                "judges": [
                    {"accuracy": accuracy, **_figures(outcome), "precision_of_seeds": [one.precision for one in curve.outcomes[accuracy]]}
                    for accuracy, outcome in zip(curve.accuracies, curve.totals, strict=True)
                ],
            }
            for curve in curves
        ],
        "findings": [asdict(finding) | {"holds": finding.holds} for finding in findings],
        "over_http": {name: asdict(proof) for name, proof in proofs.items()},
    }


def _figures(outcome: Outcome) -> dict[str, float | None]:
    """Per character."""
    count = outcome.characters
    return {
        "precision": outcome.precision,
        "right": outcome.right / count,
        "filled": outcome.filled / count,
        "filled_share": outcome.filled / count / WANTED,
        "relabelled": outcome.relabelled / count,
        "precision_of_relabelled": outcome.relabelled_right / outcome.relabelled if outcome.relabelled else None,
        "questions": outcome.questions / count,
    }
