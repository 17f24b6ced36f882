"""Size buckets: the width and height a clip is packed in.

Both are multiples of 16, because the network's latents are 8 times smaller and its patches take 2 x 2 of them. The picture is resized
until it covers the bucket and cropped at the centre, by less than 16 pixels in one direction: nothing is stretched, little is lost.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.failures import InputError
from schemas.vocabulary import FailureKind

MULTIPLE = 16


@dataclass(frozen=True, slots=True)
class Bucket:
    """A clip's size, and how a source picture gets there.

    Attributes:
        width, height: pixels of the clip, multiples of 16.
        scaled_width, scaled_height: pixels of the source picture when it covers the clip; at most one is larger than the clip's, by less than 16.
    """

    width: int
    height: int
    scaled_width: int
    scaled_height: int

    @property
    def left(self) -> int:
        """Columns of the scaled picture that are cropped at the left."""
        return (self.scaled_width - self.width) // 2

    @property
    def top(self) -> int:
        """Rows of the scaled picture that are cropped at the top."""
        return (self.scaled_height - self.height) // 2

    def crop(self, scaled: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height, width, 3) out of (scaled_height, scaled_width, 3)."""
        return scaled[self.top : self.top + self.height, self.left : self.left + self.width]

    def box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """A box in fractions of the source picture, in fractions of the cropped one; it may reach beyond 0..1."""
        x0, y0, x1, y1 = box
        across = [(x * self.scaled_width - self.left) / self.width for x in (x0, x1)]
        down = [(y * self.scaled_height - self.top) / self.height for y in (y0, y1)]
        return across[0], down[0], across[1], down[1]


def choose_bucket(width: int, height: int, area: int, upscale: bool = False) -> Bucket:
    """The bucket of a source picture: as large as the area allows, its aspect ratio as near to the source's as multiples of 16 come.

    Among the multiples of 16 around the ideal size the one that crops the smallest share is taken, the larger one of two.

    Args:
        width, height: pixels of the displayed source picture.
        area: upper bound of the bucket's width x height.
        upscale: also enlarge small sources.

    Raises:
        InputError: UNSUPPORTED, the source is smaller than 16 pixels or so long and thin that no bucket fits into the area.
    """
    scale = math.sqrt(area / (width * height))
    if not upscale:
        scale = min(scale, 1.0)
    sizes = [
        Bucket(bucket_width, bucket_height, *_cover(width, height, bucket_width, bucket_height))
        for bucket_width in _around(width * scale)
        for bucket_height in _around(height * scale)
        if bucket_width * bucket_height <= area and (upscale or (bucket_width <= width and bucket_height <= height))
    ]
    fitting = [size for size in sizes if size.scaled_width - size.width < MULTIPLE and size.scaled_height - size.height < MULTIPLE]
    if not fitting:
        raise InputError(FailureKind.UNSUPPORTED, f"a picture of {width}x{height} does not fit any clip size of up to {area} pixels; leave the video out")
    return min(fitting, key=lambda size: (_cropped_share(size), -size.width * size.height))


def _around(ideal: float) -> list[int]:
    below = math.floor(ideal / MULTIPLE + 1e-9) * MULTIPLE
    return [size for size in (below, below + MULTIPLE) if size > 0]


def _cover(width: int, height: int, bucket_width: int, bucket_height: int) -> tuple[int, int]:
    scale = max(bucket_width / width, bucket_height / height)
    return max(bucket_width, round(width * scale)), max(bucket_height, round(height * scale))


def _cropped_share(size: Bucket) -> float:
    return 1 - size.width * size.height / (size.scaled_width * size.scaled_height)
