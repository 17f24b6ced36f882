"""The picture of the sweep: precision, right anchors and questions over the judge's accuracy."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from benchmarks.refinement.judge import Errors
from benchmarks.refinement.outcomes import Outcome, break_even
from benchmarks.refinement.policies import EVERYTHING, NO_RELABELLING, OURS, SURE_ALONE
from benchmarks.refinement.sweep import Curve
from pipeline.report.style import CHART, FAINT, INK, LINE

DRAWN = Errors.SUGGESTIBLE
"""The errors whose curves are drawn: the hardest to guard against, since such a judge agrees with what is wrong."""
LINES: dict[str, dict[str, Any]] = {
    EVERYTHING.name: {"color": "#b9a3c4", "linewidth": 4.0},
    SURE_ALONE.name: {"color": "#2a9d8f", "linewidth": 1.5},
    NO_RELABELLING.name: {"color": "#2a6f97", "linewidth": 1.5},
    OURS.name: {"color": "#e76f51", "linewidth": 2.2},
}
"""In the order in which they are drawn, one over the other."""
STYLE = CHART | {
    "axes.titlesize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.4,
    "ytick.color": FAINT,
}

Measure = Callable[[Outcome], float]
PANELS: tuple[tuple[str, Measure], ...] = (
    ("Precision of the anchors", lambda outcome: outcome.precision),
    ("Right anchors per character", lambda outcome: outcome.right / outcome.characters),
    ("Questions per character", lambda outcome: outcome.questions / outcome.characters),
)
PERCENT = PercentFormatter(1, decimals=0)


def draw(curves: Sequence[Curve], alone: Mapping[str, Outcome], unchecked: Mapping[str, Outcome]) -> bytes:
    """A PNG: a row of panels for each set.

    Args:
        curves: of all sets.
        alone: the classifier with select's thresholds, by set.
        unchecked: the classifier believed about everything that is asked about, by set.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 2.9 * len(alone) + 1.1), layout="constrained")
        FigureCanvasAgg(figure)
        rows = figure.subplots(len(alone), len(PANELS), squeeze=False, sharex=True, sharey="col")
        for panels, name in zip(rows, alone, strict=True):
            own = [curve for curve in curves if curve.set == name]
            for axes, (_, measure) in zip(panels, PANELS, strict=True):
                _draw_curves(axes, own, measure)
            for axes, (_, measure) in zip(panels[:2], PANELS[:2], strict=True):
                axes.axhline(measure(alone[name]), color=INK, linewidth=1, linestyle=(0, (6, 3)), label="no judge")
                axes.axhline(measure(unchecked[name]), color=FAINT, linewidth=1, linestyle=(0, (1, 2)), label="no judge, no thresholds")
            _mark_break_even(panels[0], own, alone[name].precision)
            panels[0].set_ylabel(name, color=INK, fontweight="bold", fontsize=10)
        for axes, (title, _) in zip(rows[0], PANELS, strict=True):
            axes.set_title(title)
        for axes in rows[-1]:
            axes.set_xlabel("share of faces that the judge reads rightly")
        rows[0][0].xaxis.set_major_formatter(PERCENT)
        rows[0][0].yaxis.set_major_formatter(PERCENT)
        rows[0][-1].set_ylim(bottom=0)
        handles, labels = rows[0][0].get_legend_handles_labels()
        title = f"lines: judges with {DRAWN} errors"
        figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=4, title=title, title_fontsize=9)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=130, metadata={"Software": None})
    return file.getvalue()


def _draw_curves(axes: Axes, curves: Sequence[Curve], measure: Measure) -> None:
    ours = [[measure(outcome) for outcome in curve.totals] for curve in curves if curve.policy == OURS.name]
    accuracies = curves[0].accuracies
    lowest, highest = [min(values) for values in zip(*ours, strict=True)], [max(values) for values in zip(*ours, strict=True)]
    axes.fill_between(accuracies, lowest, highest, color=LINES[OURS.name]["color"], alpha=0.15, linewidth=0, label=f"{OURS.name}, all kinds of errors")
    for name, style in LINES.items():
        axes.plot(accuracies, [measure(outcome) for outcome in _drawn(curves, name).totals], label=name, solid_capstyle="round", **style)


def _drawn(curves: Sequence[Curve], policy: str) -> Curve:
    return next(curve for curve in curves if curve.policy == policy and curve.errors is DRAWN)


def _mark_break_even(axes: Axes, curves: Sequence[Curve], bar: float) -> None:
    """Where the policy's anchors become as precise as those without a judge."""
    curve, colour = _drawn(curves, OURS.name), LINES[OURS.name]["color"]
    accuracy = break_even(curve.accuracies, [outcome.precision for outcome in curve.totals], bar)
    if accuracy is not None and accuracy > curve.accuracies[0]:
        axes.plot(accuracy, bar, "o", color="white", markeredgecolor=colour, markeredgewidth=1.8, markersize=7, zorder=5)
        axes.annotate(f"{accuracy:.0%}", (accuracy, bar), (7, -12), textcoords="offset points", color=colour, fontweight="bold")
