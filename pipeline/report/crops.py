"""The part of a frame that shows an anchor, at a size."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.crops import Box, region
from pipeline.report.style import KIND_COLOURS
from schemas.vocabulary import AnchorKind


def picture(frame: NDArray[np.uint8], kind: AnchorKind, face_box: Box | None, body_box: Box | None, height: int) -> Image.Image:
    """The part of a frame that shows an anchor, scaled to a height in pixels; in a global anchor the face is framed, to tell who it is."""
    part = region(kind, face_box, body_box, frame.shape[1], frame.shape[0])
    width = max(1, round(height * (part[2] - part[0]) / (part[3] - part[1])))
    shown = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS, box=part, reducing_gap=2.0)
    if kind == AnchorKind.GLOBAL and face_box is not None:
        corners = tuple(round(float(value) * side) for value, side in zip(face_box, (width, height, width, height), strict=True))
        ImageDraw.Draw(shown).rectangle(corners, outline=KIND_COLOURS[kind])
    return shown
