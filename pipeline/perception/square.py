"""Square pictures for MediaPipe's tasks, which are made for them, and quiet while the tasks are loaded."""

import contextlib
import os
import sys
from collections.abc import Iterator

import cv2
import mediapipe
import numpy as np

from pipeline.perception.protocols import Image


def square_crop(image: Image, center: tuple[float, float], side: float, size: int) -> Image:
    """A square of an image, black beyond the image's edges, scaled to (size, size, 3).

    Args:
        image: (height, width, 3).
        center: x, y of the square's centre, pixels; the square starts at the whole pixel nearest to where it should.
        side: length of its sides, pixels.
        size: of the result, pixels.
    """
    length = max(1, round(side))
    x0, y0 = round(center[0] - length / 2), round(center[1] - length / 2)
    inside = image[max(y0, 0) : max(y0 + length, 0), max(x0, 0) : max(x0 + length, 0)]
    crop = np.zeros((length, length, 3), np.uint8)
    top, left = min(max(-y0, 0), length), min(max(-x0, 0), length)
    crop[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    if length == size:
        return crop
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if size < length else cv2.INTER_LINEAR), np.uint8)


def flipped(image: Image) -> Image:
    """Its mirror image."""
    return np.ascontiguousarray(image[:, ::-1])


def landmarker_image(image: Image) -> mediapipe.Image:
    """An RGB picture as MediaPipe takes it."""
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep native code from writing to the process's stderr meanwhile; it has no other switch."""
    sys.stderr.flush()
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
