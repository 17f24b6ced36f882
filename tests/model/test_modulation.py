"""Modulation by segment against a row of modulation for every token."""

import pytest
import torch
from torch import Tensor

from model.modulation import Segment, gated, modulated

BATCH, DIM = 2, 6
CASES = {
    "one row": [Segment(12, 1)],
    "a row for each frame": [Segment(12, 3)],
    "a row for each token": [Segment(12, 12)],
    "frames, then anchors": [Segment(12, 3), Segment(8, 1)],
    "three segments": [Segment(4, 2), Segment(1, 1), Segment(9, 3)],
}


def drawn(count: int, seed: int) -> Tensor:
    return torch.randn(BATCH, count, DIM, generator=torch.Generator().manual_seed(seed))


def for_each_token(rows: Tensor, segments: list[Segment]) -> Tensor:
    """(B, L, D): every row as often as it has tokens."""
    repeats = torch.tensor([segment.tokens // segment.rows for segment in segments for _ in range(segment.rows)])
    return rows.repeat_interleave(repeats, dim=1)


@pytest.mark.parametrize("segments", CASES.values(), ids=CASES)
def test_it_is_modulation_token_by_token_to_the_bit(segments: list[Segment]) -> None:
    tokens, rows = sum(segment.tokens for segment in segments), sum(segment.rows for segment in segments)
    hidden, shift, scale = drawn(tokens, 0), drawn(rows, 1), drawn(rows, 2)
    every_shift, every_scale = (for_each_token(values, segments) for values in (shift, scale))
    assert torch.equal(modulated(hidden, shift, scale, segments), hidden * (1 + every_scale) + every_shift)
    assert torch.equal(gated(hidden, scale, segments), hidden * every_scale)


def test_a_segments_rows_touch_its_own_tokens_alone() -> None:
    segments = CASES["frames, then anchors"]
    hidden, shift, scale = drawn(20, 0), drawn(4, 1), drawn(4, 2)
    before, changed = modulated(hidden, shift, scale, segments), shift.clone()
    changed[1, 1] += 1  # the second frame of the second sample
    differs = (modulated(hidden, changed, scale, segments) != before).any(-1)
    assert differs.nonzero().tolist() == [[1, token] for token in range(4, 8)]
    changed = shift.clone()
    changed[:, 3] += 1
    differs = (modulated(hidden, changed, scale, segments) != before).any(-1)
    assert differs.nonzero().tolist() == [[sample, token] for sample in range(BATCH) for token in range(12, 20)]


@pytest.mark.parametrize("segments", [[Segment(12, 3)], [Segment(12, 1), Segment(4, 1)]], ids=["too few tokens", "too many tokens"])
def test_segments_are_of_all_tokens(segments: list[Segment]) -> None:
    with pytest.raises(RuntimeError, match="split"):
        gated(drawn(14, 0), drawn(sum(segment.rows for segment in segments), 1), segments)
