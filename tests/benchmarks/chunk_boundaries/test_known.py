"""The denoiser that cannot err makes a perfect video with the project's loop: so what the loop does at boundaries is right."""

import pytest
import torch

from benchmarks.chunk_boundaries.drawn import at, clips, colours
from benchmarks.chunk_boundaries.generated import exact, generate, makes_known, plan_of, smearing
from benchmarks.chunk_boundaries.seams import measure
from benchmarks.chunk_boundaries.training import TrainingOptions
from model.generate.options import Continuation

OPTIONS = TrainingOptions(latents=5)
SHOWN = colours(1, torch.Generator().manual_seed(1))
PLAN = plan_of(OPTIONS, 4)


@pytest.mark.parametrize("continuation", ["latents", "frames"])
def test_four_chunks_are_one_drawn_video(continuation: Continuation) -> None:
    video = generate(makes_known(OPTIONS, SHOWN, exact()), PLAN, OPTIONS.side, exact(), continuation, seed=0)
    assert video.blended.shape == (3, PLAN.total, OPTIONS.side, OPTIONS.side)
    starts = torch.arange(OPTIONS.side * 4)[:, None] / 4
    nearest = min(float((at(SHOWN, start[None], PLAN.total, OPTIONS.side)[0] - video.blended).abs().max()) for start in starts)
    assert nearest < 0.02
    assert torch.allclose(video.blended, video.cut, atol=1e-5)
    assert measure([video.blended], PLAN).ratio == pytest.approx(1, abs=0.01)


def test_a_codec_that_loses_something_is_blended_over() -> None:
    video = generate(makes_known(OPTIONS, SHOWN, smearing()), PLAN, OPTIONS.side, smearing(), "frames", seed=0)
    seams = measure([video.blended], PLAN)
    assert not torch.allclose(video.blended, video.cut, atol=1e-3)
    assert 1 < seams.ratio < 1.2


def test_another_seed_begins_elsewhere() -> None:
    first, again, other = (
        generate(makes_known(OPTIONS, SHOWN, exact()), plan_of(OPTIONS, 2), OPTIONS.side, exact(), "latents", seed).blended for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.1


def test_drawn_videos_move_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    seams = measure(list(clips(colours(5, generator), PLAN.total, 16, generator)), PLAN)
    assert seams.boundary == pytest.approx(seams.inside, rel=0.03)
