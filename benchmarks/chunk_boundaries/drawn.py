"""Drawn videos: a disc that crosses a plain background, leaves it to the right and comes back from the left; and the anchor that shows both colours.

It moves at the same speed in all of them: two frames say all there is to say about those that follow, and from each frame to the next the pictures change by
the same amount. So what happens at a boundary between chunks cannot hide behind the motion. A latent's time moves it by one token: the easiest motion for
attention to learn, since the network is not what is measured.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SPEED = 0.5
"""Pixels per frame."""
RADIUS = 0.25
"""Of the disc, as a share of the picture's side."""
SOFT = 2.0
"""Pixels from inside to outside, so that pictures change alike wherever between pixels the disc is."""
MOST_COLOUR, LEAST_CONTRAST = 0.9, 0.8
"""Colours are -0.9..0.9 in each channel; disc and background are at least this far apart in RGB."""


@dataclass(frozen=True, slots=True)
class Colours:
    """Of some videos: disc and background, (B, 3) each, -1..1."""

    disc: Tensor
    background: Tensor


def colours(count: int, generator: torch.Generator) -> Colours:
    """Random ones."""
    disc, background = (torch.rand(count, 3, generator=generator).mul(2).sub(1) * MOST_COLOUR for _ in range(2))
    near = (disc - background).norm(dim=1, keepdim=True) < LEAST_CONTRAST
    return Colours(torch.where(near, -background.sign() * MOST_COLOUR, disc), background)


def row(of: Colours, number: int) -> Colours:
    """Those of one video."""
    return Colours(of.disc[number : number + 1], of.background[number : number + 1])


def clips(of: Colours, frames: int, side: int, generator: torch.Generator) -> Tensor:
    """A clip of each, from a random moment on: (B, 3, frames, side, side) in -1..1."""
    return at(of, torch.rand(len(of.disc), 1, generator=generator) * side, frames, side)


def at(of: Colours, start: Tensor, frames: int, side: int) -> Tensor:
    """A clip of each, (B, 3, frames, side, side), that begins with the disc ``start``, (B, 1), pixels from the left."""
    return _drawn(of, start + SPEED * torch.arange(frames), side)


def anchors(of: Colours, side: int) -> Tensor:
    """The global anchor of each: the disc at rest in the middle. (B, 3, 1, side, side) in -1..1."""
    return _drawn(of, torch.full((len(of.disc), 1), (side - 1) / 2), side)


def _drawn(of: Colours, across: Tensor, side: int) -> Tensor:
    """Discs with soft edges; their centres are (B, T) in pixels, half-way down."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    away = (columns - across[..., None, None] + side / 2) % side - side / 2  # the picture's right edge meets the left one
    inside = ((RADIUS * side - torch.hypot(away, rows - (side - 1) / 2)) / SOFT + 0.5).clamp(0, 1)[:, None]
    disc, background = (colour[:, :, None, None, None] for colour in (of.disc, of.background))
    return inside * disc + (1 - inside) * background
