"""Frames of the sample videos, for tests that need a real face."""

from functools import cache

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.assets import fetch


@cache
def frame(asset: str, second: float) -> NDArray[np.uint8]:
    """RGB (height, width, 3) of a sample video's first frame at or after a time."""
    with av.open(str(fetch(asset))) as container:
        for decoded in container.decode(video=0):
            if decoded.time is not None and decoded.time >= second:
                picture = np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)
                picture.flags.writeable = False
                return picture
    raise ValueError(f"{asset} ends before {second} s")
