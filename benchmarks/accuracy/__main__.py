"""Measure the models on labelled data, print a table, say which targets are met.

    python -m benchmarks.accuracy --data FOLDER [--out accuracy.json] [--only identity viewpoint]

The folder is laid out as its README says: ``labelled/SET/labels.csv`` and ``labelled/SET/images``. A set that is not there is
listed as skipped. The exit status is 1 when a target is missed.
"""

import argparse
import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.accuracy import Row

QUESTIONS = ("identity", "viewpoint", "expression")
"""The modules of this package that measure something."""

MINIMUM_WIDTH = 150
"""Characters; a log or a narrow window would fold the table into ribbons."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled data")
    parser.add_argument("--out", type=Path, help="write the rows there as JSON")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=QUESTIONS, help="questions to answer; all when not given")
    options = parser.parse_args(arguments)
    console = Console(width=max(Console().width, MINIMUM_WIDTH))
    rows: list[Row] = []
    for question in options.only:
        start = time.perf_counter()
        try:
            found = importlib.import_module(f"benchmarks.accuracy.{question}").measure(options.data)
        except FileNotFoundError as error:
            console.print(f"{question}: skipped, there is no {error.filename}", markup=False)
            continue
        rows += found
        console.print(f"{question}: {len(found)} figures in {time.perf_counter() - start:.0f} s", markup=False)
    console.print(table(rows))
    if options.out:
        options.out.write_text(json.dumps([_plain(row) for row in rows], indent=1) + "\n")
    missed = [row for row in rows if row.met is False]
    met = sum(row.met is True for row in rows)
    console.print(f"{met} targets met, {len(missed)} missed" + "".join(f"\n  missed: {row.set}, {row.measure}" for row in missed), markup=False)
    return 1 if missed or not rows else 0


def table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    drawn = Table(show_lines=True)
    for column in ("set", "measure", "n", "coverage", "value", "target", "details"):
        drawn.add_column(column, justify="right" if column in {"n", "coverage", "value"} else "left")
    for row in rows:
        target = "" if row.target is None else f"{row.target:g} {'met' if row.met else 'MISSED'}"
        classes = ", ".join(f"{name} {value:.3f}" for name, value in row.per_class.items())
        skipped = ", ".join(f"{count} {reason}" for reason, count in row.skipped.items())
        details = "\n".join(filter(None, (classes, skipped and f"skipped: {skipped}", row.note)))
        drawn.add_row(row.set, row.measure, str(row.n), f"{row.coverage:.3f}", f"{row.value:.4f}", target, escape(details))
    return drawn


def _plain(row: Row) -> dict[str, object]:
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return values | {"per_class": dict(row.per_class), "skipped": dict(row.skipped), "met": row.met}


if __name__ == "__main__":
    sys.exit(main())
