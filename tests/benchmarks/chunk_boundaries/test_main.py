"""The whole benchmark at its smallest: it measures, prints, writes and says by its status what it found."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from benchmarks.chunk_boundaries.__main__ import report
from benchmarks.chunk_boundaries.training import TrainingOptions, train


def test_it_measures_and_writes(tmp_path: Path) -> None:
    trained = train(TrainingOptions(steps=1, batch=2, latents=3, layers=1, warmup=1))
    console = Console(file=io.StringIO(), width=160)
    status = report(trained, 2, 1, console, tmp_path / "seams.json", tmp_path / "seams.png")
    found = json.loads((tmp_path / "seams.json").read_text())
    assert len(found["cases"]) == 16
    assert status == 1
    assert "has not learned enough" in console.file.getvalue()  # type: ignore[attr-defined]
    assert all(abs(case["ratio"] - 1) < 0.2 for case in found["cases"] if case["denoiser"] == "known" and case["blended"])
    assert "ratio" in console.file.getvalue()  # type: ignore[attr-defined]
    assert 0.4 < np.mean(np.asarray(Image.open(tmp_path / "seams.png").convert("L")) == 255) < 0.99
