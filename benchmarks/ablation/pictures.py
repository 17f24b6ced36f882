"""The picture: what networks made of the same captions and anchors."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.ablation.drawn import CLASSES, SIDE, Samples
from benchmarks.chunk_boundaries.chart import STYLE
from model.generate.blend import to_pixels

GAP = 1
"""Pixels between pictures."""


def draw(samples: Samples, generated: Mapping[str, Tensor], rows: int = 8) -> bytes:
    """A PNG with a row for each of the first samples: its anchors, its clip, and the clip that each network generated.

    Args:
        samples: from whose captions and anchors outside it was generated.
        generated: (B, 3, FRAMES, SIDE, SIDE), -1..1, by the network's name.
        rows: how many samples.
    """
    columns = {**{str(each): samples.outside[:, :, [number]] for number, each in enumerate(CLASSES)}, "drawn": samples.clips, **generated}
    shown = [_strip(frames, rows) for frames in columns.values()]
    captions = samples.captions()[:rows]
    with rc_context(STYLE):
        figure = Figure(figsize=(3.4 + 0.075 * sum(strip.shape[1] for strip in shown), 0.8 + 0.55 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(shown), width_ratios=[strip.shape[1] for strip in shown])
        for axes, name, strip in zip(panels, columns, shown, strict=True):
            axes.imshow(strip, interpolation="nearest")
            axes.set_title(name.replace(" ", "\n", 1), fontsize=8, fontweight="normal", loc="center")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        panels[0].set_yticks([GAP + SIDE / 2 - 0.5 + row * (SIDE + GAP) for row in range(len(captions))], captions, fontsize=8)
        panels[0].tick_params(length=0)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=130, metadata={"Software": None})
    return file.getvalue()


def _strip(frames: Tensor, rows: int) -> NDArray[np.uint8]:
    """The first clips below one another, their frames side by side: (H, W, 3) on white."""
    padded = [np.pad(to_pixels(clip).numpy(), ((0, 0), (GAP, 0), (GAP, 0), (0, 0)), constant_values=255) for clip in frames[:rows]]
    return np.concatenate([np.concatenate(list(pictures), axis=1) for pictures in padded], axis=0)
