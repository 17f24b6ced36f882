"""Measure what refining makes of expression anchors, by the judge's accuracy and the way it errs.

    python -m benchmarks.refinement --data FOLDER [--seeds 10] [--json refinement.json] [--plot refinement.png]

The folder is laid out as its README says: ``labelled/SET/labels.csv`` and ``labelled/SET/images``. Some of the questions are asked over
HTTP and also without it, to prove that it makes no difference; the others are asked without. The exit status is 1 when it does make a
difference, or when the policy is not as precise as asking everything with at most half its questions.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.refinement.chart import draw
from benchmarks.refinement.findings import find
from benchmarks.refinement.judge import Errors, SimulatedJudge
from benchmarks.refinement.policies import OURS, POLICIES
from benchmarks.refinement.sets import JudgedSet, read_sets, unjudged, unjudged_without_thresholds
from benchmarks.refinement.sweep import Curve, sweep
from benchmarks.refinement.tables import as_json, curves_table, findings_table
from benchmarks.refinement.wire import Proof, compare

MINIMUM_WIDTH = 150
"""Characters; a log or a narrow window would fold the tables into ribbons."""
SEEN_OVER_HTTP = 0.8
"""Accuracy of the judge that is asked over HTTP: often right, often wrong."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refinement", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled data")
    parser.add_argument("--seeds", type=int, default=10, help="judges of each kind and ways to split a set, 2 or more (default 10)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default one per CPU)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="write a picture of them there (PNG)")
    options = parser.parse_args(arguments)
    console = Console(width=max(Console().width, MINIMUM_WIDTH))
    try:
        sets = read_sets(options.data)
    except FileNotFoundError as error:
        console.print(f"nothing measured: there is no {error.filename}", markup=False)
        return 1
    return report(sets, options.seeds, options.workers, console, options.json, options.plot)


def report(sets: Sequence[JudgedSet], seeds: int, workers: int, console: Console, json_file: Path | None, plot: Path | None) -> int:
    """Measure, print and write; returns the exit status."""
    start = time.perf_counter()
    proofs = {f"{set_.name}, {errors}": _prove(set_, errors, console) for set_ in sets for errors in Errors}
    alone = {set_.name: unjudged(set_, seeds) for set_ in sets}
    unchecked = {set_.name: unjudged_without_thresholds(set_, seeds) for set_ in sets}
    curves: list[Curve] = []
    for curve in sweep(sets, seeds, workers=workers):
        curves.append(curve)
        own = curves[-len(POLICIES) :]
        if len(curves) % len(POLICIES) == 0:
            console.print(curves_table(own, alone[curve.set], unchecked[curve.set]))
    findings = list(find(curves, alone))
    console.print(findings_table(findings))
    console.print(f"{seeds} seeds; {time.perf_counter() - start:.0f} s", markup=False)
    if json_file:
        json_file.write_text(json.dumps(as_json(curves, findings, proofs, alone, unchecked), indent=1) + "\n")
    if plot:
        plot.write_bytes(draw(curves, alone, unchecked))
    holds = all(finding.holds for finding in findings if finding.policy == OURS.name)
    return 0 if holds and all(proof.is_equal for proof in proofs.values()) else 1


def _prove(set_: JudgedSet, errors: Errors, console: Console) -> Proof:
    proof = compare(set_, SimulatedJudge(set_.truth, SEEN_OVER_HTTP, errors, seed=0), POLICIES)
    outcome = "the same verdicts and outcomes" if proof.is_equal else "OTHER VERDICTS OR OUTCOMES"
    console.print(f"{set_.name}, {errors}: {proof.requests} requests over HTTP in {proof.seconds:.0f} s, without it {outcome}", markup=False)
    return proof


if __name__ == "__main__":
    sys.exit(main())
