"""The tables and the JSON have what was measured."""

import io
import json

from rich.console import Console

from benchmarks.refinement.findings import find
from benchmarks.refinement.policies import OURS
from benchmarks.refinement.tables import as_json, curves_table, findings_table
from benchmarks.refinement.wire import Proof
from tests.benchmarks.refinement.drawn_curves import ALONE, UNCHECKED, drawn_curves

NAME = "expression_jaffe"


def printed(thing: object) -> str:
    console = Console(width=150, file=io.StringIO(), record=True)
    console.print(thing)
    return console.export_text()


def test_the_table_of_curves() -> None:
    text = printed(curves_table(drawn_curves()[:4], ALONE[NAME], UNCHECKED[NAME]))
    assert "0.800 ·  8.0 of 10.0 ·   0" in text
    assert "0.995 · 19.9 of 20.0 ·   6" in text
    assert "uniform" in text


def test_the_table_of_findings_says_what_is_not_met() -> None:
    good, bad = (printed(findings_table(find(drawn_curves(right, questions), ALONE))) for right, questions in (((59, 79, 99), 30), ((59, 79, 90), 70)))
    assert "from 80.5%" in good
    assert "same" in good
    assert "LOWER" not in good
    assert "TOO MANY" not in good
    assert "-0.090" in bad
    assert "LOWER" in bad
    assert "TOO MANY" in bad


def test_json_is_complete() -> None:
    curves = drawn_curves()
    proofs = {"expression_jaffe, uniform": Proof(10, 10, 0.1, True)}
    found = json.loads(json.dumps(as_json(curves, list(find(curves, ALONE)), proofs, ALONE, UNCHECKED)))
    assert found["without_judge"][NAME]["precision"] == 0.8
    assert found["curves"][0]["policy"] == OURS.name
    assert [judge["accuracy"] for judge in found["curves"][0]["judges"]] == [0.6, 0.8, 1.0]
    assert found["curves"][0]["judges"][2]["precision_of_seeds"] == [0.99, 1.0]
    assert found["findings"][0]["holds"] is True
    assert found["over_http"]["expression_jaffe, uniform"]["is_equal"] is True
