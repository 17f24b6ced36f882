"""The picture: how much each frame differs from the one before, and the frames around a boundary."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.chunk_boundaries.seams import TARGET, differences
from model.generate.blend import to_pixels
from model.generate.plan import ChunkPlan
from pipeline.report.style import CHART, FAINT, INK

BOUNDARY, SHARED = "#e0603d", "#fbe3d9"
STYLE = CHART | {"axes.titlesize": 10, "ytick.color": FAINT}
BEFORE, AFTER = 6, 7
"""Frames of the strip before the shared ones and after them."""


def draw(videos: Mapping[str, Tensor], plan: ChunkPlan, still: float) -> bytes:
    """A PNG with two rows for each video.

    Args:
        videos: (3, T, H, W) by name.
        plan: of all of them.
        still: how much drawn videos change from frame to frame.
    """
    chunk = plan[len(plan) // 2]
    frames = range(max(0, chunk.first - BEFORE), min(plan.total, chunk.new.start + AFTER))
    with rc_context(STYLE):
        figure = Figure(figsize=(12.5, 2.9 * len(videos) + 0.3), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(2 * len(videos), 1, height_ratios=[2.0, 0.9] * len(videos), squeeze=False)[:, 0]
        for (name, video), lines, strip in zip(videos.items(), panels[::2], panels[1::2], strict=True):
            _draw_differences(lines, name, differences(video).numpy(), plan, still)
            _draw_strip(strip, to_pixels(video[:, frames.start : frames.stop]).numpy(), frames, chunk.first, chunk.new.start)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, fontsize=8)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def _draw_differences(axes: Axes, name: str, changes: np.ndarray, plan: ChunkPlan, still: float) -> None:
    inside = np.ones(len(changes), dtype=bool)
    for chunk in list(plan)[1:]:
        first = chunk.number == 1
        axes.axvspan(chunk.first, chunk.new.start - 1, color=SHARED, linewidth=0, label="frames that two chunks share" if first else None)
        axes.axvline(chunk.new.start - 0.5, color=BOUNDARY, linewidth=0.8, label="first frame of the later chunk alone" if first else None)
        inside[chunk.first - 1 : chunk.new.start] = False
    axes.plot(np.arange(len(changes)) + 0.5, changes, color=INK, linewidth=0.9)
    most = float(changes[inside].mean()) * TARGET
    axes.axhline(most, color=FAINT, linewidth=1, linestyle=(0, (5, 2)), label=f"{TARGET} x the mean inside chunks")
    axes.axhline(still, color="#2a9d8f", linewidth=1, linestyle=(0, (1, 2)), label="drawn videos")
    axes.set_xlim(0, len(changes))
    axes.set_ylim(0, max(float(changes.max()), most, still) * 1.1)
    axes.set_title(name)
    axes.set_ylabel("mean |difference|")


def _draw_strip(axes: Axes, pictures: np.ndarray, frames: range, first: int, new: int) -> None:
    """Frames side by side; the numbers of those that two chunks share are bold, that of the first that only the later one has made is red."""
    count, _, width, _ = pictures.shape
    gap = max(1, width // 16)
    strip = np.concatenate([np.pad(picture, ((0, 0), (0, gap), (0, 0)), constant_values=255) for picture in pictures], axis=1)
    axes.imshow(strip, interpolation="nearest")
    places = np.arange(count) * (width + gap) + width / 2 - 0.5
    axes.set_xticks(places, [str(number) for number in frames], fontsize=7)
    for number, label in zip(frames, axes.get_xticklabels(), strict=True):
        label.set_color(BOUNDARY if number == new else INK if first <= number < new else FAINT)
        label.set_fontweight("bold" if first <= number <= new else "normal")
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
