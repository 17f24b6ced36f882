"""The picture of the attention to anchors over a video: each anchor's share as a line, and all of them as a map (Gloria, figures 9 and 10)."""

import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from model.attention_log import ChunkAttention, read
from model.errors import ModelInputError
from schemas.vocabulary import AnchorKind

INK, FAINT, LINE, EMPTY = "#22303c", "#5f6f7c", "#c9d3dc", "#f3f6f8"
KIND_COLOURS = {AnchorKind.GLOBAL: "#1f8a7d", AnchorKind.VIEWPOINT: "#2a6f97", AnchorKind.EXPRESSION: "#e0603d"}
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)), (0, (9, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 3)), (0, (7, 3, 2, 3)))
"""Anchors of one kind share a colour and differ in their dashes."""
STYLE: Any = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 10,
    "xtick.color": FAINT,
    "ytick.color": INK,
    "legend.frameon": False,
}
MAP_COLOURS = LinearSegmentedColormap.from_list("share", [EMPTY, "#9fd3cb", "#2a8f95", "#2a5f87", "#1c2438"])
WIDTH, ROW, LETTERS = 12.5, 0.24, 150
"""Inches: of the picture, and of an anchor's row in the map; letters of a prompt that fit into a line."""
LEAST_SHARE = 1e-4
"""Where scales begin at the lowest."""
WIDE = 30.0
"""When one anchor's mean is so many times another's, the scales are logarithmic."""
FEW = 12
"""With fewer chunks, what changes from one latent frame to the next is drawn instead."""
MOST_PROMPTS = 24
"""That are told in words."""
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.3g}%")


@dataclass(frozen=True, slots=True)
class Course:
    """Attention over a whole video.

    Attributes:
        names: of the K anchors.
        kinds: of the anchors.
        seconds: (T,) middle of each latent frame; what two chunks both show counts once.
        mass: (T, K) shares of the anchors; nan where a chunk was not recorded.
        chunk_seconds: (N,) middle of each chunk.
        chunk_mass: (N, K) means over the latent frames of each chunk; nan where it was not recorded.
        prompts: when each begins, and its words.
    """

    names: list[str]
    kinds: list[AnchorKind]
    seconds: NDArray[np.float64]
    mass: NDArray[np.float64]
    chunk_seconds: NDArray[np.float64]
    chunk_mass: NDArray[np.float64]
    prompts: list[tuple[float, str]]

    @property
    def is_long(self) -> bool:
        """Chunks are many enough to be drawn as points of a line."""
        return len(self.chunk_seconds) >= FEW

    @property
    def middles(self) -> NDArray[np.float64]:
        """When the values are that are drawn."""
        return self.chunk_seconds if self.is_long else self.seconds

    @property
    def means(self) -> NDArray[np.float64]:
        """The values that are drawn."""
        return self.chunk_mass if self.is_long else self.mass


def draw(record: Path, out: Path) -> Path:
    """Draw what a run recorded.

    Args:
        record: attention.jsonl of a run.
        out: the PNG to write.

    Returns:
        out.

    Raises:
        ModelInputError: no record, an empty one, or one of a run without anchors.
    """
    chunks = read(record)
    if not chunks or not chunks[0].anchors:
        raise ModelInputError(f"{record} tells of no {'anchors' if chunks else 'chunk'}; there is nothing to draw")
    if any(chunk.anchors != chunks[0].anchors for chunk in chunks):
        raise ModelInputError(f"{record} tells of several sets of anchors; draw each run by itself")
    out.write_bytes(png(course(chunks)))
    return out


def course(chunks: Sequence[ChunkAttention]) -> Course:
    """One run of latent frames out of chunks that overlap: what a chunk was given has been counted in the chunk before.

    A run that was recorded only at times lacks chunks; where they would be there is nothing, nan.
    """
    names, expected = chunks[0].anchors, 0
    nothing = [math.nan] * len(names)
    seconds: list[float] = []
    mass: list[list[float]] = []
    middles: list[float] = []
    means: list[NDArray[np.float64]] = []
    prompts: list[tuple[float, str]] = []
    for chunk in chunks:
        new = [index for index, second in enumerate(chunk.seconds) if not seconds or second > seconds[-1]]
        if not new:
            continue
        missing, expected = chunk.chunk - expected, chunk.chunk + 1
        rows = [chunk.mass[index] for index in new]
        middle = (chunk.seconds[new[0]] + chunk.seconds[new[-1]]) / 2
        if missing > 0:
            lost = _filled(seconds, chunk.seconds[new[0]], missing * len(new))
            seconds, mass = seconds + lost, mass + [nothing] * len(lost)
            middles, means = middles + _filled(middles, middle, missing), means + [np.array(nothing)] * missing
        if chunk.prompt and (not prompts or prompts[-1][1] != chunk.prompt):
            prompts.append((chunk.seconds[new[0]], chunk.prompt))
        middles.append(middle)
        means.append(np.mean(rows, axis=0))
        seconds += [chunk.seconds[index] for index in new]
        mass += rows
    return Course(names, [_kind(name) for name in names], np.array(seconds), np.array(mass), np.array(middles), np.array(means), prompts)


def _filled(times: Sequence[float], until: float, count: int) -> list[float]:
    """Times of so many things that are missing behind the last of times, or from the video's beginning on."""
    last = times[-1] if times else -until / (2 * count + 1)
    between: list[float] = np.linspace(last, until, count + 2)[1:-1].tolist()
    return between


def png(shown: Course) -> bytes:
    """The picture."""
    rows, told = max(len(shown.names), 3), min(len(shown.prompts), MOST_PROMPTS)
    heights = (3.4, 0.5 + ROW * rows, 0.2 * told + 0.05)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 1.0), layout="constrained")
        FigureCanvasAgg(figure)
        lines, grid, words = figure.subplots(3, 1, height_ratios=heights)
        _draw_lines(lines, shown)
        _draw_map(figure, grid, shown)
        grid.sharex(lines)
        lines.tick_params(labelbottom=False)
        for axes in (lines, grid):
            _mark_prompts(axes, shown, numbers=axes is lines)
        _tell_prompts(words, shown)
        grid.set_xlim(0, shown.seconds[-1])
        grid.xaxis.set_major_locator(MultipleLocator(_tick(float(shown.seconds[-1]))))
        grid.xaxis.set_major_formatter(FuncFormatter(lambda second, _: _clock(second)))
        grid.set_xlabel("minutes : seconds of the video")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=130, metadata={"Software": None})
    return file.getvalue()


def _draw_lines(axes: Axes, shown: Course) -> None:
    """Chunk by chunk as lines, and latent frame by latent frame as a shadow behind them; of a short video the latter alone."""
    seen: Counter[AnchorKind] = Counter()
    for index, (name, kind) in enumerate(zip(shown.names, shown.kinds, strict=True)):
        style: dict[str, Any] = {"color": KIND_COLOURS[kind], "linestyle": DASHES[seen[kind] % len(DASHES)], "linewidth": 2.2 if not seen[kind] else 1.5}
        seen[kind] += 1
        if shown.is_long:
            axes.plot(shown.seconds, shown.mass[:, index], color=KIND_COLOURS[kind], linewidth=0.5, alpha=0.18)
        axes.plot(shown.middles, shown.means[:, index], label=name, **style)
        if alone := _alone(shown.means[:, index]):
            axes.plot(shown.middles[alone], shown.means[alone, index], "o", color=KIND_COLOURS[kind], markersize=3)
    means = shown.means
    if _is_wide(means):
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(LEAST_SHARE, float(means[means > 0].min()) * 0.6))
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set_ylabel("share of the attention", color=FAINT)
    axes.grid(axis="y", color=LINE, linewidth=0.4)
    each = "means of each chunk, behind them of each latent frame" if shown.is_long else "means of each latent frame"
    axes.set_title(f"What the video's queries give to each anchor: {each}", pad=18)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5, handlelength=3.2, labelspacing=0.7)


def _draw_map(figure: Figure, axes: Axes, shown: Course) -> None:
    """A row for each anchor, a column for each chunk, or of a short video for each latent frame."""
    highest = max(float(np.nanmax(shown.means)), LEAST_SHARE)
    norm = Normalize(0, highest)
    if _is_wide(shown.means):
        norm = LogNorm(max(LEAST_SHARE, float(shown.means[shown.means > 0].min())), highest, clip=True)
    rows = np.arange(len(shown.names) + 1) - 0.5
    mesh = axes.pcolormesh(_edges(shown.middles, float(shown.seconds[-1])), rows, shown.means.T, norm=norm, cmap=MAP_COLOURS, rasterized=True)
    axes.set_yticks(range(len(shown.names)), shown.names)
    for label, kind in zip(axes.get_yticklabels(), shown.kinds, strict=True):
        label.set_color(KIND_COLOURS[kind])
    axes.hlines(rows[1:-1], 0, shown.seconds[-1], color="white", linewidth=1.5)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_title("The same as a map" + (", logarithmic" if isinstance(norm, LogNorm) else ""))
    bar = axes.inset_axes((1.012, 0, 0.012, 1))
    figure.colorbar(mesh, cax=bar, format=PERCENT)
    bar.tick_params(labelsize=8, color=FAINT)


def _mark_prompts(axes: Axes, shown: Course, numbers: bool) -> None:
    """Where the prompt changes: a line, and over the upper panel which prompt begins."""
    if len(shown.prompts) < 2:
        return
    for number, (second, _) in enumerate(shown.prompts):
        if number:
            axes.axvline(second, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
        if numbers and number < MOST_PROMPTS:
            axes.annotate(f"{number + 1}", (second, 1), (2, 3), xycoords=("data", "axes fraction"), textcoords="offset points", color=INK, fontweight="bold")


def _tell_prompts(axes: Axes, shown: Course) -> None:
    axes.axis("off")
    told = shown.prompts[:MOST_PROMPTS]
    for number, (second, prompt) in enumerate(told):
        text = prompt if len(prompt) <= LETTERS else prompt[: LETTERS - 1].rstrip() + "…"
        height = 1 - (number + 0.5) / len(told)
        axes.text(0, height, f"{number + 1}", transform=axes.transAxes, va="center", fontweight="bold")
        axes.text(0.02, height, _clock(second), transform=axes.transAxes, va="center", color=FAINT)
        axes.text(0.06, height, text, transform=axes.transAxes, va="center")


def _kind(name: str) -> AnchorKind:
    return AnchorKind.from_word(name.split()[0])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _tick(seconds: float) -> int:
    """Seconds from one mark to the next: a dozen marks at most."""
    return next((step for step in (1, 2, 5, 10, 15, 30, 60, 120, 300) if seconds / step <= 12), 600 * (1 + int(seconds) // 7200))


def _is_wide(mass: NDArray[np.float64]) -> bool:
    """Whether a linear scale would hide anchors: the mean of one is far below that of another."""
    means = np.nanmean(mass, axis=0)
    return bool(means.min() > 0 and means.max() / means.min() > WIDE)


def _alone(values: NDArray[np.float64]) -> list[int]:
    """Of which a line has nothing to draw: there is nothing before and nothing behind."""
    there = np.pad(np.isfinite(values), 1)
    return [int(index) for index in np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:])]


def _edges(middles: NDArray[np.float64], end: float) -> NDArray[np.float64]:
    """Borders between neighbours, from the video's beginning to its end."""
    return np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [end]])
