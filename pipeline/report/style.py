"""Colours, fonts and ways to write numbers that every picture of the report shares."""

from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from PIL import ImageFont

from schemas.vocabulary import SUBCLASSES, AnchorKind

PAPER = "#ffffff"
INK = "#22303c"
FAINT = "#5f6f7c"
LINE = "#c9d3dc"
EMPTY = "#f3f6f8"
JUDGED, WAITING = "#2f855a", "#b7791f"
"""Of what a judge has confirmed, and of what waits for one."""
KIND_COLOURS = {AnchorKind.GLOBAL: "#2a9d8f", AnchorKind.VIEWPOINT: "#2a6f97", AnchorKind.EXPRESSION: "#e76f51"}
CHART: Any = {
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
"""Settings of matplotlib."""


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which ships inside matplotlib, at a size in pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def clock(pts_ns: int) -> str:
    """A presentation time as minutes:seconds.milliseconds, with hours where there are any."""
    milliseconds = round(pts_ns / 1_000_000)
    sign = "-" if milliseconds < 0 else ""
    minutes, rest = divmod(abs(milliseconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
    return sign + (f"{hours}:{text}" if hours else text)


def spoken(word: str) -> str:
    """A word of the vocabulary as people read it."""
    return word.replace("_", " ")


def bins() -> list[tuple[AnchorKind, str | None]]:
    """Every bin an anchor can be in, as kind and subclass word, in the order of the codes."""
    return [(kind, word) for kind, subclass in SUBCLASSES.items() for word in (subclass.words() if subclass else [None])]
