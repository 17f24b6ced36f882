"""The command: tables, files, exit status."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.refinement import __main__ as command
from tests.benchmarks.refinement.drawn_curves import drawn_curves
from tests.benchmarks.refinement.drawn_set import drawn_faces, drawn_set

SETS = [drawn_set(drawn_faces(10, 2))]


def test_without_the_data_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--data", str(tmp_path)]) == 1
    assert "labels.csv" in capsys.readouterr().out


@pytest.mark.parametrize(("questions", "status"), [(30, 0), (90, 1)])
def test_the_exit_status_says_whether_the_claim_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, questions: int, status: int) -> None:
    monkeypatch.setattr(command, "sweep", lambda *_, **__: drawn_curves(questions=questions))
    console = Console(file=io.StringIO(), record=True, width=150)
    json_file, plot = tmp_path / "refinement.json", tmp_path / "refinement.png"
    assert command.report(SETS, 1, 1, console, json_file, plot) == status
    assert console.export_text().count("the same verdicts and outcomes") == 3
    assert len(json.loads(json_file.read_text())["curves"]) == 12
    assert plot.read_bytes().startswith(b"\x89PNG")
