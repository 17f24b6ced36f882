"""The curves: how far each arm's networks paste, and how often they choose right, while they are trained."""

import io
from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.ablation.scores import Scores
from benchmarks.chunk_boundaries.chart import STYLE

COLOURS = ("#2a9d8f", "#e0603d", "#5b6fb5", "#c9a227", "#8d5a97", "#22303c")
"""Of arms, in order."""
CHANCE = "#5f6f7c"

Curve = Sequence[tuple[int, Scores]]
"""A network's scores after so many steps."""


def draw(arms: Mapping[str, Sequence[Curve]], chance: float) -> bytes:
    """A PNG with a panel for each score, and a line in it for each network.

    Args:
        arms: the curves of an arm's seeds, by the arm's name; at most as many as there are colours.
        chance: the choice of who knows nothing.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        paste, choice = figure.subplots(1, 2)
        for (name, curves), colour in zip(arms.items(), COLOURS[: len(arms)], strict=True):
            for number, curve in enumerate(curves):
                steps, scores = [step for step, _ in curve], [each for _, each in curve]
                label = name if number == 0 else None
                paste.plot(steps, [each.paste for each in scores], color=colour, linewidth=1.4, label=label)
                choice.plot(steps, [each.choice for each in scores], color=colour, linewidth=1.4, label=label)
        choice.axhline(chance, color=CHANCE, linewidth=1, linestyle=(0, (5, 2)), label="chance")
        _label(paste, "Paste", "0 the text's background, 1 the anchors'")
        _label(choice, "Choice", "share taken from the right anchor")
        figure.legend(*choice.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def _label(axes: Axes, title: str, meaning: str) -> None:
    axes.set_title(title)
    axes.set_ylabel(meaning)
    axes.set_xlabel("steps")
    axes.set_ylim(-0.05, 1.05)
