"""The size that a clip and its anchors are brought to: they are scaled until they cover it, and cropped about their middle."""

import math

from model.errors import ModelInputError

Box = tuple[float, float, float, float]


def scaled_size(width: int, height: int, area: int, multiple: int) -> tuple[int, int]:
    """Width and height that a picture is brought to. Nothing is enlarged; a size that fits already stays.

    Of the sizes next to the largest one of the picture's shape, the one is taken that crops the smallest share; of several, the largest.

    Args:
        width, height: of the picture, in pixels.
        area: upper bound of width x height, in pixels.
        multiple: both sides will be multiples of it: the codec's factor times the network's patch.

    Raises:
        ModelInputError: no size fits: the picture is smaller than the multiple, or too long and thin for the area.
    """
    scale = min(1.0, math.sqrt(area / (width * height)))
    sizes = [
        (across, down)
        for across in _around(width * scale, multiple)
        for down in _around(height * scale, multiple)
        if across <= width and down <= height and across * down <= area
    ]
    if not sizes:
        raise ModelInputError(
            f"a picture of {width}x{height} cannot be brought to multiples of {multiple} pixels within an area of {area}; leave it out, or allow a larger area"
        )
    return min(sizes, key=lambda size: (_cropped_share(width, height, *size), -size[0] * size[1]))


def covering_size(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int]:
    """The smallest size of a picture's shape that covers another size, in whole pixels: it is cropped to that one."""
    scale = max(to_width / width, to_height / height)
    return max(to_width, round(width * scale)), max(to_height, round(height * scale))


def cropped_box(box: Box, width: int, height: int, to_width: int, to_height: int) -> Box:
    """A box in fractions of a picture, in fractions of what is left of it when it was brought to another size; cut off where it reached beyond."""
    scaled_width, scaled_height = covering_size(width, height, to_width, to_height)
    x0, x1 = (_clamped(_from_middle(x, scaled_width / to_width)) for x in box[::2])
    y0, y1 = (_clamped(_from_middle(y, scaled_height / to_height)) for y in box[1::2])
    return x0, y0, x1, y1


def _around(ideal: float, multiple: int) -> list[int]:
    below = math.floor(ideal / multiple + 1e-9) * multiple
    return [size for size in (below, below + multiple) if size > 0]


def _cropped_share(width: int, height: int, to_width: int, to_height: int) -> float:
    scale = max(to_width / width, to_height / height)
    return 1 - to_width * to_height / (width * height * scale**2)


def _from_middle(fraction: float, scale: float) -> float:
    return 0.5 + (fraction - 0.5) * scale


def _clamped(fraction: float) -> float:
    return min(1.0, max(0.0, fraction))
