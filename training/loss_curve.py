"""OUT/loss.png: how the losses and the learning rate went, from OUT/metrics.jsonl."""

import io
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, ScalarFormatter, StrMethodFormatter
from numpy.typing import NDArray

from model.attention_plot import FAINT, INK, LINE, MAP_COLOURS, STYLE
from training.metrics import LEVEL_NAME, Line, read

NAME = "loss.png"
TRAINING_COLOUR, VALIDATION_COLOUR, RATE_COLOUR = "#2a6f97", "#e0603d", "#1f8a7d"
SMOOTHED = 40
"""The smoothed loss looks about this part of what there is to either side."""
OUTLIERS = 0.5
"""Percent of the points, at either end, that the scale need not show."""
WIDE = 8.0
"""When a loss falls by so many times, the scale is logarithmic."""
FEW = 40
"""With fewer points each is marked, and nothing is smoothed."""

Numbers = NDArray[np.float64]


def draw_loss_curve(metrics: Path, out: Path) -> bool:
    """Draw what was measured so far.

    Args:
        metrics: metrics.jsonl of a training.
        out: the PNG to write, whole or not at all.

    Returns:
        whether there was anything to draw.
    """
    lines = read(metrics)
    training, validation = ([line for line in lines if line["kind"] == kind and "loss" in line] for kind in ("training", "validation"))
    if not training and not validation:
        return False
    temporary = out.with_name(f".{out.name}.part")
    temporary.write_bytes(png(training, validation))
    temporary.replace(out)
    return True


def png(training: Sequence[Line], validation: Sequence[Line]) -> bytes:
    """The picture: losses, validation by noise level where there is one, and the rate."""
    levels = sorted({name for line in validation for name in line if name.startswith(LEVEL_NAME)})
    heights = {"loss": 3.2} | ({"levels": 2.6} if levels else {}) | ({"rate": 1.3} if any("rate" in line for line in training) else {})
    with rc_context(STYLE):
        figure = Figure(figsize=(9.5, sum(heights.values()) + 0.8), layout="constrained")
        FigureCanvasAgg(figure)
        panels = dict(zip(heights, figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights.values()))[:, 0], strict=True))
        _draw_losses(panels["loss"], training, validation)
        if "levels" in panels:
            _draw_levels(panels["levels"], validation, levels)
        if "rate" in panels:
            _draw_rate(panels["rate"], training)
        last = list(panels.values())[-1]
        last.set_xlabel("step")
        last.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True))
        last.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def smoothed(values: Numbers, over: float) -> Numbers:
    """Means that reach about so many values to either side with exponentially falling weights: unlike a running average, they do not come late. Without nan."""
    if over < 1:
        return values
    there = np.isfinite(values)
    known = np.where(there, values, 0.0)
    total, weight = (_both_sides(each, float(np.exp(-1 / over))) for each in (known, there.astype(np.float64)))
    return np.divide(total, weight, out=np.full_like(values, np.nan), where=weight > 0)


def _both_sides(values: Numbers, keep: float) -> Numbers:
    """Sums over all values, weighted by keep to the power of how far away they are."""

    def before(each: Numbers) -> Numbers:
        return np.array(list(accumulate(each.tolist(), lambda total, value: keep * total + value)))

    return before(values) + before(values[::-1])[::-1] - values


def _draw_losses(axes: Axes, training: Sequence[Line], validation: Sequence[Line]) -> None:
    if training:
        steps, losses = _column(training, "step"), _column(training, "loss")
        if len(losses) < FEW:
            axes.plot(steps, losses, color=TRAINING_COLOUR, linewidth=2, label="training", **_marks(training))
        else:
            axes.plot(steps, losses, color=TRAINING_COLOUR, linewidth=0.8, alpha=0.35, label="training, each line of the log")
            axes.plot(steps, smoothed(losses, len(losses) / SMOOTHED), color=TRAINING_COLOUR, linewidth=2, label="training, smoothed")
    if validation:
        axes.plot(_column(validation, "step"), _column(validation, "loss"), color=VALIDATION_COLOUR, linewidth=1.6, **_marks(validation), label="validation")
    _finish(axes, "Loss", [_column(lines, "loss") for lines in (training, validation) if lines])


def _draw_levels(axes: Axes, validation: Sequence[Line], levels: Sequence[str]) -> None:
    steps = _column(validation, "step")
    for number, name in enumerate(levels):
        colour = MAP_COLOURS(0.3 + 0.7 * number / max(len(levels) - 1, 1))
        label = f"σ = {float(name.removeprefix(LEVEL_NAME)):.3f}" + (", nearest to data" if number == 0 else ", nearest to noise" if name == levels[-1] else "")
        axes.plot(steps, _column(validation, name), color=colour, linewidth=1.6, label=label, **_marks(validation))
    _finish(axes, "Validation loss by noise level, one in the middle of each quantile", [_column(validation, name) for name in levels])


def _draw_rate(axes: Axes, training: Sequence[Line]) -> None:
    axes.plot(_column(training, "step"), _column(training, "rate"), color=RATE_COLOUR, linewidth=1.6)
    axes.set_ylim(bottom=0)
    axes.set_title("Learning rate")
    axes.grid(axis="y", color=LINE, linewidth=0.4)
    formatter = ScalarFormatter(useMathText=True)
    formatter.set_powerlimits((-3, 4))
    axes.yaxis.set_major_formatter(formatter)
    axes.yaxis.get_offset_text().set_color(FAINT)


def _finish(axes: Axes, title: str, values: Sequence[Numbers]) -> None:
    shown = np.concatenate(values)
    lowest, highest = np.percentile(shown[np.isfinite(shown)], [OUTLIERS, 100 - OUTLIERS]) if np.isfinite(shown).any() else (0.0, 1.0)
    if lowest > 0 and highest / lowest > WIDE:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
        axes.set_ylim(lowest / 1.2, highest * 1.2)
    elif highest > lowest:
        axes.set_ylim(lowest - 0.08 * (highest - lowest), highest + 0.08 * (highest - lowest))
    axes.set_title(title, color=INK)
    axes.grid(axis="y", color=LINE, linewidth=0.4)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)


def _marks(lines: Sequence[Line]) -> dict[str, Any]:
    """For a line of few points."""
    return {"marker": "o", "markersize": 3.5} if len(lines) < FEW else {}


def _column(lines: Sequence[Line], name: str) -> Numbers:
    return np.array([np.nan if line.get(name) is None else line[name] for line in lines], np.float64)
