"""Draws the two pictures of the README with a character nobody is: ``python docs/pictures/draw.py``."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Circle, Ellipse, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

mpl.use("Agg")
HERE = Path(__file__).parent
SKIN, HAIR, COAT, SCARF, INK = "#f2c9a0", "#5b3a29", "#2a6f97", "#e76f51", "#22303c"
PAPER, LINE, ACCENT, MUTED = "#ffffff", "#c9d3dc", "#2a9d8f", "#5f6f7c"


def character(axes: Axes, x: float, y: float, size: float, view: str = "front", expression: str = "neutral", scene: bool = False) -> None:
    """One drawn character, head and shoulders, centred at x, y; ``size`` is the height of the head."""
    if scene:
        axes.add_patch(Rectangle((x - 2.2 * size, y - 1.35 * size), 4.4 * size, 2.5 * size, color="#dbe9f4", zorder=1))
        axes.add_patch(Rectangle((x - 2.2 * size, y - 1.35 * size), 4.4 * size, 0.55 * size, color="#cdb891", zorder=1))
        axes.add_patch(Circle((x + 1.6 * size, y + 0.75 * size), 0.25 * size, color="#f4d35e", zorder=2))
        axes.add_patch(
            Polygon([(x - 2.0 * size, y - 0.8 * size), (x - 1.5 * size, y + 0.4 * size), (x - 1.0 * size, y - 0.8 * size)], color="#7fa37a", zorder=2)
        )
    shoulders = 0.8 if view in {"front", "back"} else 0.5
    body = Ellipse((x, y - 1.3 * size), 2 * shoulders * size, 1.6 * size, color=COAT, zorder=3)
    axes.add_patch(body)
    body.set_clip_path(Rectangle((x - size, y - 1.35 * size), 2 * size, 2 * size, transform=axes.transData))
    axes.add_patch(Ellipse((x, y - 0.52 * size), 0.62 * size, 0.24 * size, color=SCARF, zorder=4))
    axes.add_patch(Ellipse((x, y), 0.86 * size, size, color=HAIR if view == "back" else SKIN, zorder=5))
    if view == "front":
        axes.add_patch(Arc((x, y + 0.02 * size), 0.84 * size, 0.98 * size, theta1=15, theta2=165, color=HAIR, lw=0.16 * size * 40, zorder=6))
        _face(axes, x, y, size, expression)
    elif view in {"left", "right"}:
        side = -1 if view == "left" else 1
        axes.add_patch(Ellipse((x - side * 0.16 * size, y + 0.12 * size), 0.66 * size, 0.8 * size, color=HAIR, zorder=6))
        nose = [(x + side * 0.38 * size, y + 0.1 * size), (x + side * 0.56 * size, y - 0.06 * size), (x + side * 0.38 * size, y - 0.1 * size)]
        axes.add_patch(Polygon(nose, color=SKIN, zorder=6))
        axes.add_patch(Ellipse((x + side * 0.27 * size, y + 0.1 * size), 0.07 * size, 0.11 * size, color=INK, zorder=7))
        axes.plot([x + side * 0.2 * size, x + side * 0.37 * size], [y - 0.25 * size] * 2, color=INK, lw=1.6, zorder=7)


def _face(axes: Axes, x: float, y: float, size: float, expression: str) -> None:
    brow = {"angry": -0.06, "sad": 0.06, "surprise": 0.0}.get(expression, 0.0)
    lift = 0.07 if expression == "surprise" else 0.0
    for side in (-1, 1):
        axes.add_patch(
            Ellipse((x + side * 0.18 * size, y + 0.06 * size), 0.08 * size, (0.16 if expression == "surprise" else 0.11) * size, color=INK, zorder=7)
        )
        inner, outer = y + (0.19 + lift + brow) * size, y + (0.19 + lift - brow) * size
        axes.plot([x + side * 0.1 * size, x + side * 0.28 * size], [inner, outer], color=HAIR, lw=2, zorder=7)
    axes.plot([x, x - 0.03 * size, x + 0.02 * size], [y + 0.02 * size, y - 0.1 * size, y - 0.1 * size], color=INK, lw=1, zorder=7)
    if expression == "happy":
        axes.add_patch(Arc((x, y - 0.18 * size), 0.34 * size, 0.26 * size, theta1=190, theta2=350, color=INK, lw=2.2, zorder=7))
    elif expression == "sad":
        axes.add_patch(Arc((x, y - 0.34 * size), 0.28 * size, 0.2 * size, theta1=20, theta2=160, color=INK, lw=2.2, zorder=7))
    elif expression == "surprise":
        axes.add_patch(Ellipse((x, y - 0.26 * size), 0.13 * size, 0.19 * size, color=INK, zorder=7))
    else:
        axes.plot([x - 0.12 * size, x + 0.12 * size], [y - 0.26 * size] * 2, color=INK, lw=2, zorder=7)


def canvas(width: float, height: float) -> tuple[plt.Figure, Axes]:
    """An empty picture of width x height units without axes."""
    figure, axes = plt.subplots(figsize=(width, height), dpi=110)
    figure.subplots_adjust(0, 0, 1, 1)
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    return figure, axes


def card(axes: Axes, x: float, y: float, width: float, height: float, title: str = "", below: str = "") -> None:
    """A white frame with a title inside its upper edge and a line of small text under it."""
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.08", facecolor=PAPER, edgecolor=LINE, lw=1.4, zorder=0))
    axes.text(x + width / 2, y + height - 0.2, title, ha="center", va="center", fontsize=10.5, weight="bold", color=INK)
    axes.text(x + width / 2, y - 0.2, below, ha="center", va="center", fontsize=8.2, color=MUTED)


def flow() -> None:
    """From raw video to shards: what every stage reads and writes."""
    figure, axes = canvas(14.85, 4.1)
    axes.text(0.3, 3.82, "From raw video to training shards", fontsize=13, weight="bold", color=INK)
    stages = [
        ("raw videos", "paths, folders, globs, any fsspec URL"),
        ("observe", "one decode pass"),
        ("select", "tables alone, seconds"),
        ("refine", "a multimodal model on vLLM"),
        ("pack", "frame-exact"),
        ("shards", "webdataset + index.parquet"),
    ]
    for number, (title, below) in enumerate(stages):
        x = 0.3 + number * 2.45
        card(axes, x, 0.95, 2.0, 2.5, title, below)
        if number:
            axes.add_patch(FancyArrowPatch((x - 0.42, 2.2), (x - 0.04, 2.2), arrowstyle="-|>", mutation_scale=16, color=ACCENT, lw=2))
    for offset in range(3):
        axes.add_patch(Rectangle((0.55 + 0.13 * offset, 1.35 + 0.2 * offset), 1.25, 1.1, facecolor="#dbe9f4", edgecolor=INK, lw=1, zorder=1))
    character(axes, 1.43, 2.3, 0.42)
    observed = {"shots": LINE, "face, 5 points": SKIN, "head and body yaw": COAT, "expression": SCARF, "identity": HAIR, "quality": ACCENT}
    for row, (name, color) in enumerate(observed.items()):
        axes.add_patch(Rectangle((2.95, 2.72 - 0.28 * row), 0.14, 0.14, color=color))
        axes.text(3.2, 2.79 - 0.28 * row, name, fontsize=8.6, va="center", color=INK)
    for row, (view, expression) in enumerate([("front", "neutral"), ("left", "neutral"), ("front", "happy"), ("back", "neutral")]):
        character(axes, 5.75 + 0.9 * (row % 2), 2.75 - 1.05 * (row // 2), 0.38, view, expression)
    for row, (expression, verdict, color) in enumerate([("happy", "happy", ACCENT), ("surprise", "speaking", SCARF), ("sad", "caption", COAT)]):
        y = 2.8 - 0.7 * row
        character(axes, 8.15, y, 0.3, "front", expression)
        axes.text(8.5, y, f"“{verdict}”" if row < 2 else "“He sits in …”", fontsize=8.4, va="center", color=color, weight="bold")
    axes.add_patch(Rectangle((10.3, 2.35), 1.6, 0.22, facecolor="#e8eef3", edgecolor=LINE))
    axes.add_patch(Rectangle((10.75, 2.35), 0.5, 0.22, facecolor=ACCENT))
    axes.text(11.1, 2.78, "clip, by PTS", fontsize=8.4, ha="center", color=INK)
    for at, inside in [(10.4, False), (10.55, False), (11.0, True), (11.45, False), (11.75, False)]:
        axes.plot([at, at], [2.18, 2.3], color=SCARF if not inside else INK, lw=2.5)
    axes.text(11.1, 1.95, "anchors: inside and\noutside the clip", fontsize=8.4, ha="center", va="top", color=INK)
    for row, name in enumerate(["KEY.json", "KEY.mp4", "KEY.flac", "KEY.anchor-00.jpg", "KEY.anchor-01.jpg"]):
        axes.add_patch(Rectangle((12.75, 2.62 - 0.32 * row), 1.65, 0.26, facecolor="#eef6f5", edgecolor=ACCENT, lw=1))
        axes.text(12.81, 2.75 - 0.32 * row, name, fontsize=8, va="center", color=INK, family="monospace")
    tables = "videos  shots  observations  tracks  characters  anchors  clips  verdicts  failures"
    axes.text(7.4, 0.32, f"parquet between all stages: {tables}", fontsize=9, ha="center", color=MUTED)
    figure.savefig(HERE / "flow.png")


def anchor_set() -> None:
    """The anchors of one character: global, viewpoints, expressions, from all over the video."""
    figure, axes = canvas(12.4, 4.9)
    axes.text(0.3, 4.6, "The content anchors of one character", fontsize=13, weight="bold", color=INK)
    card(axes, 0.3, 2.45, 2.9, 1.85, below="00:12.480   the scene as a whole")
    axes.text(0.4, 4.12, "global", fontsize=9.5, weight="bold", color=INK)
    character(axes, 1.75, 3.35, 0.56, scene=True)
    pictures = [
        ("front", "neutral", "00:03.000   yaw +2°"),
        ("left", "neutral", "00:41.250   yaw -84°"),
        ("right", "neutral", "01:07.750   yaw +91°"),
        ("back", "neutral", "01:32.500   body yaw 174°"),
    ]
    for column, (view, expression, below) in enumerate(pictures):
        x = 3.6 + 2.15 * column
        card(axes, x, 2.45, 1.85, 1.85, below=below)
        axes.text(x + 0.1, 4.12, view, fontsize=9.5, weight="bold", color=INK)
        character(axes, x + 0.92, 3.5, 0.72, view, expression)
    for column, (expression, below) in enumerate(
        [("neutral", "00:03.000   p .97"), ("happy", "00:55.250   p .99"), ("sad", "02:10.000   p .81"), ("surprise", "01:20.750   p .93")]
    ):
        x = 3.6 + 2.15 * column
        card(axes, x, 0.3, 1.85, 1.6, below="")
        axes.text(x + 0.1, 1.73, expression, fontsize=9.5, weight="bold", color=INK)
        axes.text(x + 0.92, 0.12, below, fontsize=8.2, color=MUTED, ha="center", va="center")
        character(axes, x + 0.92, 1.15, 0.62, "front", expression)
    axes.text(
        0.35,
        1.1,
        "A training clip gets anchors from\ninside and from outside its span\n(the superset), so that copying\nthe anchor does not pay.",
        fontsize=9.2,
        color=MUTED,
        va="center",
    )
    figure.savefig(HERE / "anchor_set.png")


if __name__ == "__main__":
    flow()
    anchor_set()
