"""Figures of a whole run: anchors per bin, yaw and expression distributions, the way from sampled frames to anchors, a judge's answers."""

import io
from collections import Counter

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.report.overview import YAW_EDGES, Overview
from pipeline.report.style import CHART, FAINT, INK, KIND_COLOURS, LINE, PAPER, bins, spoken
from pipeline.report.verdicts import VerdictSums
from schemas.vocabulary import AnchorKind, Expression, QuestionKind, RejectReason, Status, Viewpoint, words

VIEW_COLOURS = {"front": "#2a6f97", "left": "#2a9d8f", "right": "#e9b44c", "back": "#6d597a", None: LINE}


def draw_overview(overview: Overview) -> dict[str, bytes]:
    """The figures of a run as PNG files, by name: ``bins``, ``angles``, ``expressions``, ``funnel`` and, when a judge was asked, ``verdicts``."""
    with rc_context(CHART):
        figures = {
            "bins": _png(_bins(overview)),
            "angles": _png(_angles(overview)),
            "expressions": _png(_expressions(overview)),
            "funnel": _png(_funnel(overview)),
        }
        return figures | {"verdicts": _png(_verdicts(overview.verdicts))} if overview.verdicts.questions else figures


def _bins(overview: Overview) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot()
    every = bins()
    colours = [KIND_COLOURS[kind] for kind, _ in every]
    heights = [overview.anchors[bin_] for bin_ in every]
    axes.bar(range(len(every)), heights, 0.72, color=colours)
    waiting = [overview.pending[bin_] for bin_ in every]
    widths = [0.9 if more else 0.0 for more in waiting]
    tops = axes.bar(range(len(every)), waiting, 0.72, heights, color=PAPER, edgecolor=colours, linestyle=(0, (3, 2)), linewidth=widths)
    labels = [_bin_label(height, more, overview.characters_with[bin_]) for bin_, height, more in zip(every, heights, waiting, strict=True)]
    axes.bar_label(tops, labels, padding=2, fontsize=8, color=INK)
    axes.set_xticks(range(len(every)), [subclass or kind.word for kind, subclass in every], rotation=30, ha="right")
    axes.margins(y=0.22)
    axes.set_ylabel("anchors (dashed: pending)" if any(waiting) else "anchors")
    axes.set_title(f"Anchors per bin, and characters (ch.) that have one — {overview.characters} characters in all")
    return figure


def _bin_label(anchors: int, pending: int, characters: int) -> str:
    lines = [str(anchors)] if anchors or not pending else []
    lines += [f"+{pending}"] if pending else []
    return "\n".join(lines + ([f"{characters} ch."] if anchors else []))


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
    """One waterfall per kind: from all observations, reason by reason, down to the anchors. Those that wait for a judge are the last step."""
    pending = {kind: sum(number for (own, _), number in overview.pending.items() if own == kind) for kind in AnchorKind}
    lost = {kind: overview.dropped[kind] + Counter({Status.PENDING: pending[kind]}) for kind in AnchorKind}
    reasons = [reason for reason in [*words(RejectReason), Status.PENDING] if any(lost[kind][reason] for kind in AnchorKind)]
    figure = Figure(figsize=(12, 1.9 + 0.27 * len(reasons)), layout="constrained")
    seen = f"{overview.sampled} sampled frames   →   {overview.observations} people in them   →   {overview.faces} with a face"
    figure.suptitle(f"From sampled frames to anchors\n{seen}", ha="left", x=0.01, fontsize=10)
    panels = figure.subplots(1, len(AnchorKind), sharey=True)
    for axes, kind in zip(panels, AnchorKind, strict=True):
        chosen = sum(number for (own, _), number in overview.anchors.items() if own == kind)
        _waterfall(axes, kind, chosen, lost[kind], reasons)
    panels[0].set_yticks(range(len(reasons) + 2), ["people seen", *(spoken(reason) for reason in reasons), "anchors"])
    panels[0].invert_yaxis()
    return figure


def _waterfall(axes: Axes, kind: AnchorKind, chosen: int, lost: Counter[str], reasons: list[str]) -> None:
    left = chosen + sum(lost.values())
    colour = KIND_COLOURS[kind]
    axes.barh(0, left, 0.72, color=colour)
    axes.text(left, 0, f" {left}", va="center", fontsize=8)
    for row, reason in enumerate(reasons, start=1):
        number = lost[reason]
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


def _verdicts(sums: VerdictSums) -> Figure:
    """Of expressions and of viewpoints, how often the judge named which class where the classifier stated which."""
    kinds = [(QuestionKind.EXPRESSION, Expression.words(), AnchorKind.EXPRESSION), (QuestionKind.VIEWPOINT, Viewpoint.words(), AnchorKind.VIEWPOINT)]
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    panels = figure.subplots(1, len(kinds), width_ratios=[len(classes) + 3 for _, classes, _ in kinds])
    for axes, (question, classes, kind) in zip(panels, kinds, strict=True):
        counts = np.array([[sums.named[question, stated, named] for named in (*classes, None)] for stated in classes])
        _matrix(axes, counts, classes, KIND_COLOURS[kind])
        axes.set_title(f"{question.capitalize()}s: the same class in {np.trace(counts)} of {counts.sum()}")
    panels[0].set_ylabel("the classifier's class")
    return figure


def _matrix(axes: Axes, counts: NDArray[np.int64], classes: list[str], colour: str) -> None:
    """Counts by the classifier's class (rows) and the judge's (columns; the last one: none), shaded by their share of the row."""
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    axes.imshow(shares, LinearSegmentedColormap.from_list("shares", [PAPER, colour]), vmin=0, vmax=1.5, aspect="auto")
    for (row, place), number in np.ndenumerate(counts):
        if number:
            axes.text(place, row, str(number), ha="center", va="center", fontsize=8, fontweight="bold" if row == place else "normal")
    axes.set_xticks(range(len(classes) + 1), [*classes, "unclear"], rotation=30, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xticks(np.arange(0.5, len(classes)), minor=True)
    axes.set_yticks(np.arange(0.5, len(classes) - 1), minor=True)
    axes.grid(which="minor", color=LINE, linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("the class that the judge names")
    for spine in axes.spines.values():
        spine.set_visible(True)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=130, metadata={"Software": None})
    return file.getvalue()
