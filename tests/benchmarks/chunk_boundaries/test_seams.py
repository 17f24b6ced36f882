"""Differences whose size is known, at boundaries that are known."""

from fractions import Fraction

import pytest
import torch

from benchmarks.chunk_boundaries.seams import measure
from model.generate.plan import ChunkPlan

PLAN = ChunkPlan(53, Fraction(16), latents=6)  # chunks begin at frames 0, 16 and 32; frames 16-20 and 32-36 are shared


def ramp(steps: torch.Tensor) -> torch.Tensor:
    """A video that changes by ``steps`` from frame to frame."""
    return torch.cat([torch.zeros(1), steps]).cumsum(0)[None, :, None, None].expand(3, -1, 2, 2)


def test_the_plan_is_what_the_test_says_it_is() -> None:
    assert [(chunk.first, chunk.new.start) for chunk in PLAN] == [(0, 0), (16, 21), (32, 37)]


def test_each_difference_goes_where_it_belongs() -> None:
    steps = torch.full((52,), 0.01)
    steps[[20, 36]] = 0.03  # from frame 20 to 21, and from 36 to 37
    steps[15:20] = steps[31:36] = 0.02
    seams = measure([ramp(steps), ramp(-steps)], PLAN)
    assert (seams.boundary, seams.overlap, seams.inside, seams.between_latents) == pytest.approx((0.03, 0.02, 0.01, 0.01), abs=1e-7)
    assert seams.ratio == pytest.approx(3, abs=1e-4)
    assert seams.like_for_like == pytest.approx(3, abs=1e-4)
    assert not seams.is_met
    assert seams.boundaries == 4


def test_between_latents_is_from_the_last_frame_of_one_to_the_first_of_the_next() -> None:
    steps = torch.full((52,), 0.01)
    steps[::4] = 0.02
    seams = measure([ramp(steps)], PLAN)
    assert seams.between_latents == pytest.approx(0.02, abs=1e-7)
    assert seams.boundary == pytest.approx(0.02, abs=1e-7)
