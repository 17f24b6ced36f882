import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.loss_curve import draw_loss_curve, png, smoothed
from training.metrics import MetricsFile

TRAINING = [{"kind": "training", "step": step, "loss": 1 / step + 0.1, "rate": 1e-4} for step in range(1, 40)]
VALIDATION = [{"kind": "validation", "step": step, "loss": 0.2, "loss_sigma_0.6000": 0.3, "loss_sigma_0.9000": 0.1} for step in (10, 20)]


def size(content: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(content)).size


def test_smoothing_keeps_what_is_level_and_passes_over_what_is_not_there() -> None:
    assert smoothed(np.full(50, 3.0), 5.0) == pytest.approx(np.full(50, 3.0))
    holes = np.where(np.arange(50) % 7 == 0, np.nan, 3.0)
    assert smoothed(holes, 5.0) == pytest.approx(np.full(50, 3.0))
    assert np.isnan(smoothed(np.full(4, np.nan), 2.0)).all()


def test_smoothing_comes_neither_late_nor_early() -> None:
    line = np.arange(200.0)
    assert smoothed(line, 5.0)[60:140] == pytest.approx(line[60:140], abs=0.01)


def test_smoothing_is_the_weighted_mean_that_it_says() -> None:
    values = np.random.default_rng(0).normal(size=30)
    weights = np.exp(-np.abs(np.arange(30)[:, None] - np.arange(30)) / 4.0)
    assert smoothed(values, 4.0) == pytest.approx(weights @ values / weights.sum(axis=1))


def test_few_values_are_left_as_they_are() -> None:
    values = np.array([1.0, 5.0, 2.0])
    assert smoothed(values, 3 / 40) is values


def test_panels_come_with_what_there_is() -> None:
    bare = [{"step": line["step"], "loss": line["loss"]} for line in TRAINING]
    heights = [size(png(training, validation))[1] for training, validation in ((bare, []), (TRAINING, []), (TRAINING, VALIDATION))]
    assert heights == sorted(set(heights))


@pytest.mark.parametrize("lines", [[], [{"kind": "skipped", "step": 1, "key": "k", "reason": "r"}]])
def test_nothing_measured_is_nothing_drawn(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    file = MetricsFile(tmp_path / "m", None, print)
    for line in lines:
        file.append(line["kind"], line["step"], {"key": "k"})
    file.close()
    assert not draw_loss_curve(tmp_path / "m", tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()


def test_one_line_and_no_numbers_can_be_drawn(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "m", None, print)
    file.append("training", 1, {"loss": float("nan"), "rate": 0.0})
    file.close()
    assert draw_loss_curve(tmp_path / "m", tmp_path / "loss.png")
    assert size((tmp_path / "loss.png").read_bytes())[0] > 900
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["loss.png", "m"]


def test_validation_alone_can_be_drawn() -> None:
    assert size(png([], VALIDATION))[0] > 900
