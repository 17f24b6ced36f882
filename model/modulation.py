"""Modulation by segment: neighbouring tokens share their shift, scale and gate, which are kept once for all of them.

Stock Wan keeps a row of modulation for every token where frames have times of their own, (B, L, 6, D): six times what the tokens take. Here tokens are seen
as (B, rows, n, D) and meet rows of (B, rows, 1, D); the numbers are the same to the bit.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Segment(NamedTuple):
    """Neighbouring tokens that are modulated alike, or frame by frame.

    Attributes:
        tokens: how many.
        rows: rows of modulation; each is for tokens / rows neighbours.
    """

    tokens: int
    rows: int


def modulated(tokens: Tensor, shift: Tensor, scale: Tensor, segments: Sequence[Segment]) -> Tensor:
    """Tokens * (1 + scale) + shift.

    Args:
        tokens: (B, L, D), of all segments one after the other.
        shift, scale: (B, rows of all segments, D).
        segments: how the rows fall on the tokens.
    """
    parts = []
    for part, part_shift, part_scale in _by_segment(tokens, segments, shift, scale):
        parts.append((part * (1 + part_scale) + part_shift).flatten(1, 2))
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def gated(tokens: Tensor, gate: Tensor, segments: Sequence[Segment]) -> Tensor:
    """Tokens * gate; arguments as in ``modulated``."""
    parts = [(part * part_gate).flatten(1, 2) for part, part_gate in _by_segment(tokens, segments, gate)]
    return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def _by_segment(tokens: Tensor, segments: Sequence[Segment], *rows: Tensor) -> list[tuple[Tensor, ...]]:
    """For each segment its tokens (B, rows, n, D) and its part of each of rows, (B, rows, 1, D)."""
    pieces = [piece.unflatten(1, (segment.rows, -1)) for piece, segment in zip(tokens.split([s.tokens for s in segments], dim=1), segments, strict=True)]
    row_pieces = [[piece.unsqueeze(2) for piece in values.split([s.rows for s in segments], dim=1)] for values in rows]
    return list(zip(pieces, *row_pieces, strict=True))
