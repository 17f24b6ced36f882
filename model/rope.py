"""Rotary tables for any temporal positions, one row of positions per sample.

Wan's own rotary embedding looks positions up in a table of whole, non-negative numbers. Anchors stand where no such table has a row, so
the angles are computed here, in the order of operations of the stock table: at whole positions the result is the same to the bit
(RoFormer, arXiv 2104.09864, section 3.2; three axes as in Wan, arXiv 2503.20314).
"""

import torch
from torch import Tensor

THETA = 10_000.0


def axis_sizes(head_dim: int) -> tuple[int, int, int]:
    """How many of a head's channels turn with time, height and width; Wan gives what does not divide by three to time."""
    space = 2 * (head_dim // 6)
    return head_dim - 2 * space, space, space


def rotary_tables(positions: Tensor, height: int, width: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines for the tokens of frames.

    Args:
        positions: (B, F) temporal position of every frame; any number, also fractional or negative.
        height, width: tokens down and across a frame; they stand at 0, 1, 2, …
        head_dim: channels of an attention head.

    Returns:
        Two float32 tensors (B, F * height * width, 1, head_dim), frame by frame, row by row; angles are computed in float64.
    """
    batch, frames = positions.shape
    device = positions.device
    down, across = (torch.arange(size, dtype=torch.float64, device=device) for size in (height, width))
    shapes = ((batch, frames, 1, 1, -1), (1, 1, height, 1, -1), (1, 1, 1, width, -1))
    angles = [
        _angles(axis, size).view(shape).expand(batch, frames, height, width, -1)
        for axis, size, shape in zip((positions, down, across), axis_sizes(head_dim), shapes, strict=True)
    ]
    turned = torch.cat(angles, dim=-1).flatten(1, 3).unsqueeze(2)
    return _doubled(turned.cos()), _doubled(turned.sin())


def _angles(positions: Tensor, size: int) -> Tensor:
    """(…, size / 2) angles in float64 of positions (…)."""
    frequencies = 1.0 / (THETA ** (torch.arange(0, size, 2, dtype=torch.float64, device=positions.device) / size))
    return positions.to(torch.float64).unsqueeze(-1) * frequencies


def _doubled(values: Tensor) -> Tensor:
    """Each channel pair shares its angle."""
    return values.repeat_interleave(2, dim=-1).float()
