"""Rotary tables for any temporal positions, one row of positions per sample.

Wan's own rotary embedding looks positions up in a table of whole, non-negative numbers. Anchors stand where no such table has a row, so
the angles are computed here, by the function that makes the stock table: at whole positions the result is the same to the bit (RoFormer,
arXiv 2104.09864, section 3.2; three axes as in Wan, arXiv 2503.20314).
"""

import torch
from diffusers.models.embeddings import get_1d_rotary_pos_embed
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
    down, across = (torch.arange(size, device=positions.device) for size in (height, width))
    shapes = ((batch, frames, 1, 1, -1), (1, 1, height, 1, -1), (1, 1, 1, width, -1))
    axes = []
    for places, size, shape in zip((positions.flatten(), down, across), axis_sizes(head_dim), shapes, strict=True):
        tables = get_1d_rotary_pos_embed(size, places.double(), THETA, use_real=True, freqs_dtype=torch.float64)  # each (places, size)
        axes.append([table.view(shape).expand(batch, frames, height, width, -1) for table in tables])
    cosines, sines = (torch.cat(tables, dim=-1).flatten(1, 3).unsqueeze(2) for tables in zip(*axes, strict=True))
    return cosines, sines
