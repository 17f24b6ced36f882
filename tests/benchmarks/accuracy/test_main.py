"""The accuracy command: rows in, table and JSON out, the exit status says whether every target was met."""

import io
import json
import types
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.accuracy import Row
from benchmarks.accuracy import __main__ as command


def answer(monkeypatch: pytest.MonkeyPatch, rows: list[Row]) -> None:
    monkeypatch.setattr("importlib.import_module", lambda name: types.SimpleNamespace(measure=lambda data: rows))  # noqa: ARG005


MET = Row("set", "precision", 10, 0.9, 0.99, 0.98, {"left": 1.0, "right": 0.98}, {"no face found": 2}, "a note with [brackets]")
MISSED = Row("set", "recall", 10, 1.0, 0.5, 0.98)
FREE = Row("set", "spread", 10, 1.0, 0.5)


@pytest.mark.parametrize(("rows", "status"), [([MET, FREE], 0), ([MET, MISSED], 1), ([FREE], 0), ([], 1)])
def test_exit_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rows: list[Row], status: int) -> None:
    answer(monkeypatch, rows)
    assert command.main(["--data", str(tmp_path), "--only", "identity"]) == status


def test_json_has_every_field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer(monkeypatch, [MET, MISSED])
    command.main(["--data", str(tmp_path), "--only", "identity", "--out", str(tmp_path / "accuracy.json")])
    first, second = json.loads((tmp_path / "accuracy.json").read_text())
    assert (first["per_class"], first["skipped"], first["met"]) == ({"left": 1.0, "right": 0.98}, {"no face found": 2}, True)
    assert (second["value"], second["target"], second["met"]) == (0.5, 0.98, False)
    assert "missed: set, recall" in capsys.readouterr().out


def test_the_table_shows_what_matters() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(command.table([MET, MISSED, FREE]))
    text = console.export_text()
    for part in ("0.98 met", "0.98 MISSED", "left 1.000", "skipped: 2 no face found", "a note with [brackets]"):
        assert part in text


def test_absent_data_is_skipped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--data", str(tmp_path), "--only", "identity"]) == 1
    assert "skipped" in capsys.readouterr().out
