"""Which latent frames of a chunk are recorded; what is recorded is tested in tests/model/test_attention_record.py and through the command line."""

import pytest

from model.generate.attention_recording import latents_shown
from model.generate.plan import ChunkPlan


@pytest.mark.parametrize("total", [1, 2, 5, 6, 12, 13, 14, 20, 21, 22, 40])
@pytest.mark.parametrize("factor", [1, 4])
def test_latents_that_begin_within_the_video(total: int, factor: int) -> None:
    plan = ChunkPlan(total, latents=4, prefix=2, temporal_factor=factor)
    for chunk in plan:
        begins = [chunk.first, *(chunk.first + factor * (latent - 1) + 1 for latent in range(1, plan.latents))]
        assert latents_shown(plan, chunk) == sum(frame < total for frame in begins)
