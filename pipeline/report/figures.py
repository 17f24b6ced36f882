"""Figures of a whole run: anchors per bin, yaw and expression distributions, and the way from sampled frames to anchors."""

import io
from collections import Counter
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pipeline.report.overview import YAW_EDGES, Overview
from pipeline.report.style import FAINT, INK, KIND_COLOURS, LINE, bins, spoken
from schemas.vocabulary import AnchorKind, Expression, RejectReason, Viewpoint, words

VIEW_COLOURS = {"front": "#2a6f97", "left": "#2a9d8f", "right": "#e9b44c", "back": "#6d597a", None: LINE}
STYLE: Any = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "xtick.color": FAINT,
    "ytick.color": INK,
    "legend.frameon": False,
}


def draw_overview(overview: Overview) -> dict[str, bytes]:
    """The figures of a run as PNG files, by name: ``bins``, ``angles``, ``expressions``, ``funnel``."""
    with rc_context(STYLE):
        return {
            "bins": _png(_bins(overview)),
            "angles": _png(_angles(overview)),
            "expressions": _png(_expressions(overview)),
            "funnel": _png(_funnel(overview)),
        }


def _bins(overview: Overview) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot()
    every = bins()
    colours = [KIND_COLOURS[kind] for kind, _ in every]
    heights = [overview.anchors[bin_] for bin_ in every]
    bars = axes.bar(range(len(every)), heights, 0.72, color=colours)
    labels = [f"{height}\n{overview.characters_with[bin_]} ch." if height else "0" for bin_, height in zip(every, heights, strict=True)]
    axes.bar_label(bars, labels, padding=2, fontsize=8, color=INK)
    axes.set_xticks(range(len(every)), [subclass or kind.word for kind, subclass in every], rotation=30, ha="right")
    axes.margins(y=0.22)
    axes.set_ylabel("anchors")
    axes.set_title(f"Anchors per bin, and characters (ch.) that have one — {overview.characters} characters in all")
    return figure


def _angles(overview: Overview) -> Figure:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    bottom = np.zeros(len(YAW_EDGES) - 1)
    for word in (*Viewpoint.words(), None):
        counts = overview.yaws.get(word, np.zeros(len(YAW_EDGES) - 1))
        name = f"{word or 'no view'} ({int(counts.sum())})"
        axes.bar(YAW_EDGES[:-1], counts, 5, bottom, align="edge", color=VIEW_COLOURS[word], label=name, edgecolor="white", linewidth=0.3)
        bottom = bottom + counts
    axes.set_xticks(range(-180, 181, 45))
    axes.set_xlim(-180, 180)
    axes.set_xlabel("yaw in degrees, smoothed: -90 nose to image-left, +90 nose to image-right")
    axes.set_ylabel("observations")
    axes.legend(loc="upper right", fontsize=8)
    axes.set_title("Which way people look, and the view it was taken for")
    return figure


def _expressions(overview: Overview) -> Figure:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    names: list[str | None] = [*Expression.words(), None]
    heights = [overview.expressions[name] for name in names]
    colours = [KIND_COLOURS[AnchorKind.EXPRESSION] if name else LINE for name in names]
    axes.bar_label(axes.bar(range(len(names)), heights, 0.72, color=colours), padding=2, fontsize=8)
    axes.set_xticks(range(len(names)), [name or "not sure" for name in names])
    axes.margins(y=0.15)
    axes.set_ylabel("faces of characters")
    axes.set_title("What faces express")
    return figure


def _funnel(overview: Overview) -> Figure:
    """One waterfall per kind: from all observations, reason by reason, down to the anchors."""
    reasons = [reason for reason in words(RejectReason) if any(overview.dropped[kind][reason] for kind in AnchorKind)]
    figure = Figure(figsize=(12, 1.9 + 0.27 * len(reasons)), layout="constrained")
    seen = f"{overview.sampled} sampled frames   →   {overview.observations} people in them   →   {overview.faces} with a face"
    figure.suptitle(f"From sampled frames to anchors\n{seen}", ha="left", x=0.01, fontsize=10)
    panels = figure.subplots(1, len(AnchorKind), sharey=True)
    for axes, kind in zip(panels, AnchorKind, strict=True):
        chosen = sum(number for (own, _), number in overview.anchors.items() if own == kind)
        _waterfall(axes, kind, chosen, overview.dropped[kind], reasons)
    panels[0].set_yticks(range(len(reasons) + 2), ["people seen", *(spoken(reason) for reason in reasons), "anchors"])
    panels[0].invert_yaxis()
    return figure


def _waterfall(axes: Axes, kind: AnchorKind, chosen: int, dropped: Counter[str], reasons: list[str]) -> None:
    left = chosen + sum(dropped.values())
    colour = KIND_COLOURS[kind]
    axes.barh(0, left, 0.72, color=colour)
    axes.text(left, 0, f" {left}", va="center", fontsize=8)
    for row, reason in enumerate(reasons, start=1):
        number = dropped[reason]
        axes.barh(row, left - number, 0.72, color=colour, alpha=0.18)
        axes.barh(row, number, 0.72, left - number, color=colour, alpha=0.65)
        axes.text(left, row, f" −{number}" if number else "", va="center", fontsize=8, color=FAINT)
        left -= number
    axes.barh(len(reasons) + 1, left, 0.72, color=colour)
    axes.text(left, len(reasons) + 1, f" {left}", va="center", fontsize=8, fontweight="bold")
    axes.set_title(kind.word)
    axes.set_xticks([])
    axes.margins(x=0.16)
    axes.spines[["bottom"]].set_visible(False)
    axes.tick_params(left=False)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=130, metadata={"Software": None})
    return file.getvalue()
