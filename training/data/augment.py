"""Light changes of anchors that keep the identity, so that the network does not learn one picture by heart."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.positions import AnchorClass
from model.samples.size import Box
from schemas.vocabulary import Viewpoint
from training.options import AugmentOptions

MOST_CROPPED = 0.1
"""Of the width and of the height."""
MOST_CHANGED = 0.1
"""Of brightness, contrast and saturation."""
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.709)."""

_MIRRORED = {Viewpoint.LEFT: Viewpoint.RIGHT, Viewpoint.RIGHT: Viewpoint.LEFT}

Picture = NDArray[np.uint8]


def augment(rgb: Picture, anchor: AnchorClass, box: Box | None, options: AugmentOptions, generator: torch.Generator) -> tuple[Picture, AnchorClass]:
    """An anchor, changed as far as the options allow.

    Args:
        rgb: (H, W, 3).
        anchor: what it shows.
        box: of the face or person, as fractions of the picture, which a crop leaves whole; a picture without one is not cropped.
        options: which changes.
        generator: decides. The same numbers are drawn whichever options are on: to turn one on leaves the others' choices as they are.

    Returns:
        (H, W, 3), and what it shows now: the mirror image of a left profile is a right one.
    """
    zoom, across, down, mirrored, *colours = torch.rand(7, generator=generator, dtype=torch.float64).tolist()
    if options.crop and box is not None:
        rgb = _cropped(rgb, box, zoom, across, down)
    if options.flip and mirrored < 0.5:
        rgb, anchor = np.ascontiguousarray(rgb[:, ::-1]), mirror_class(anchor)
    if options.colour:
        rgb = _recoloured(rgb, *(1 + MOST_CHANGED * (2 * colour - 1) for colour in colours))
    return rgb, anchor


def mirror_class(anchor: AnchorClass) -> AnchorClass:
    """What the mirror image of an anchor shows."""
    if not isinstance(anchor.subclass, Viewpoint):
        return anchor
    return AnchorClass(anchor.kind, _MIRRORED.get(anchor.subclass, anchor.subclass))


def _cropped(rgb: Picture, box: Box, zoom: float, across: float, down: float) -> Picture:
    """A part that has the picture's shape and all of the box, at the picture's size."""
    height, width, _ = rgb.shape
    x0, y0, x1, y1 = (min(1.0, max(0.0, side)) for side in box)
    kept = max(1 - MOST_CROPPED * zoom, x1 - x0, y1 - y0)
    left, top = _start(x0, x1, kept, across), _start(y0, y1, kept, down)
    region = (left * width, top * height, (left + kept) * width, (top + kept) * height)
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC, box=region))


def _start(box_start: float, box_end: float, kept: float, place: float) -> float:
    """Where a part of this length starts that lies within 0..1 and holds the box: of all such places, the one at ``place``, 0..1."""
    first, last = max(0.0, box_end - kept), min(1 - kept, box_start)
    return min(first + place * max(0.0, last - first), 1 - kept)


def _recoloured(rgb: Picture, brightness: float, contrast: float, saturation: float) -> Picture:
    """Brighter, then away from the mean brightness, then away from grey."""
    bright = rgb.astype(np.float32) * np.float32(brightness)
    mean = (bright @ LUMA).mean()
    contrasted = mean + (bright - mean) * np.float32(contrast)
    grey = (contrasted @ LUMA)[..., None]
    return np.clip(np.rint(grey + (contrasted - grey) * np.float32(saturation)), 0, 255).astype(np.uint8)
