"""How good a picture of a person is, measured on the pixels of a box: sharpness, exposure, how much lies outside the frame."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.perception.protocols import Image

MEASURED_SIDE = 112
"""Pixels of the longer side at which sharpness is measured, so that large and small faces compare; smaller ones are not enlarged, since that adds no detail."""
LEAST_SIDE = 8
"""Pixels of the shorter side below which nothing is sharp."""
BLACK, WHITE = 4, 251
"""Luma at and beyond which a pixel is clipped: video levels leave a little headroom on both ends."""
FULL_GRADIENT = 0.5
"""Gradient energy over contrast of a picture in perfect focus; sharpness is 1 there."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What the pixels of a box say.

    Attributes:
        sharpness: 0..1, share of the contrast that lies in fine detail.
        brightness: mean luma, 0..1.
        clipped: share of pixels that are fully black or white, 0..1.
        cut_off: share of the box outside the frame, 0..1.
    """

    sharpness: float
    brightness: float
    clipped: float
    cut_off: float


def measure_quality(image: Image, box: NDArray[np.float32]) -> Quality:
    """Measure a box of an image.

    Args:
        image: (height, width, 3) RGB frame.
        box: (4,) x0, y0, x1, y1 in pixels; may reach beyond the frame.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (float(value) for value in box)
    area = max(x1 - x0, 1e-6) * max(y1 - y0, 1e-6)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if right - left < 1 or bottom - top < 1:
        return Quality(0.0, 0.0, 0.0, 1.0)
    inside = image[int(top) : max(int(np.ceil(bottom)), int(top) + 1), int(left) : max(int(np.ceil(right)), int(left) + 1)]
    luma = cv2.cvtColor(np.ascontiguousarray(inside), cv2.COLOR_RGB2GRAY)
    return Quality(
        sharpness=_sharpness(np.asarray(luma)),
        brightness=float(luma.mean()) / 255,
        clipped=float(((luma <= BLACK) | (luma >= WHITE)).mean()),
        cut_off=float(np.clip(1 - (right - left) * (bottom - top) / area, 0, 1)),
    )


def _sharpness(luma: NDArray[np.uint8]) -> float:
    """Mean gradient between neighbouring pixels over the contrast (standard deviation), at a fixed size: blur lowers it, exposure does not."""
    scale = MEASURED_SIDE / max(luma.shape)
    if scale < 1:
        size = max(2, round(luma.shape[1] * scale)), max(2, round(luma.shape[0] * scale))
        luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
    if min(luma.shape) < LEAST_SIDE:
        return 0.0
    values = luma.astype(np.float32)
    gradient = np.sqrt(np.diff(values, axis=0)[:, 1:] ** 2 + np.diff(values, axis=1)[1:] ** 2).mean()
    return float(np.clip(gradient / (values.std() + 8.0) / FULL_GRADIENT, 0, 1))
