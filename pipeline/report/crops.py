"""Which part of a frame to show of an anchor, and showing it at a size."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.report.style import KIND_COLOURS
from schemas.vocabulary import AnchorKind

Box = Sequence[float]
AROUND_FACE = {AnchorKind.VIEWPOINT: 3.2, AnchorKind.EXPRESSION: 2.0}
"""Side of the square to show, as a multiple of the face's larger side."""


def region(kind: AnchorKind, face_box: Box | None, body_box: Box | None, width: int, height: int) -> tuple[int, int, int, int]:
    """What to show of a frame: x0, y0, x1, y1 in pixels, within the frame.

    The whole frame for a global anchor; a square around the face for the others, around the upper end of the body where there is no
    face. Squares are moved into the frame, and made smaller when they are larger than it.
    """
    box = face_box if face_box is not None else body_box
    if kind == AnchorKind.GLOBAL or box is None:
        return 0, 0, width, height
    x0, y0, x1, y1 = (float(value) * side for value, side in zip(box, (width, height, width, height), strict=True))
    if face_box is not None:
        side, middle = AROUND_FACE[kind] * max(x1 - x0, y1 - y0), (y0 + y1) / 2
    else:
        side = max(x1 - x0, 0.6 * (y1 - y0)) * 1.1
        middle = y0 - 0.05 * side + side / 2
    side = max(8, round(min(side, width, height)))
    left = min(max(0, round((x0 + x1) / 2 - side / 2)), max(0, width - side))
    top = min(max(0, round(middle - side / 2)), max(0, height - side))
    return left, top, min(width, left + side), min(height, top + side)


def picture(frame: NDArray[np.uint8], kind: AnchorKind, face_box: Box | None, body_box: Box | None, height: int) -> Image.Image:
    """The part of a frame that shows an anchor, scaled to a height in pixels; in a global anchor the face is framed, to tell who it is."""
    part = region(kind, face_box, body_box, frame.shape[1], frame.shape[0])
    width = max(1, round(height * (part[2] - part[0]) / (part[3] - part[1])))
    shown = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS, box=part, reducing_gap=2.0)
    if kind == AnchorKind.GLOBAL and face_box is not None:
        corners = tuple(round(float(value) * side) for value, side in zip(face_box, (width, height, width, height), strict=True))
        ImageDraw.Draw(shown).rectangle(corners, outline=KIND_COLOURS[kind])
    return shown
