"""Every frame comes from exactly one chunk, and what chunks share is what the prefix latents show."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import ModelInputError
from model.generate.plan import ChunkPlan, exact_rate, frames_in


@st.composite
def plans(draw: st.DrawFn) -> ChunkPlan:
    latents = draw(st.integers(2, 32))
    return ChunkPlan(draw(st.integers(1, 900)), Fraction(16), latents, draw(st.integers(1, latents - 1)), draw(st.sampled_from([1, 2, 4, 8])))


@given(plans())
def test_every_frame_is_new_in_exactly_one_chunk(plan: ChunkPlan) -> None:
    assert [frame for chunk in plan for frame in chunk.new] == list(range(plan.total))


@given(plans())
def test_chunks_share_what_the_prefix_latents_show(plan: ChunkPlan) -> None:
    """The latents' own frames, listed one by one: latent 0 shows g0, latent i the f frames that end with g0 + f i."""
    chunks = list(plan)
    f = plan.temporal_factor
    for chunk in chunks:
        shown = [chunk.first, *(frame for i in range(1, plan.latents) for frame in range(chunk.first + f * i - f + 1, chunk.first + f * i + 1))]
        assert list(chunk.frames) == shown
    for before, after in pairwise(chunks):
        prefix = {after.first, *(after.first + k for k in range(1, f * (plan.prefix - 1) + 1))}
        assert set(before.frames) & set(after.frames) == prefix == set(list(before.frames)[-plan.overlap :])
        assert (after.overlap, before.surplus) == (plan.overlap, 0)


@given(plans())
def test_no_chunk_is_more_than_needed(plan: ChunkPlan) -> None:
    *_, last = plan
    assert last.new
    assert last.surplus == last.frames.stop - plan.total >= 0
    assert len(last.frames) == plan.length


def test_ten_minutes() -> None:
    plan = ChunkPlan(9600)
    assert (plan.length, plan.overlap, plan.stride, len(plan), plan.seconds) == (81, 5, 76, 127, Fraction(600))  # 81 + 125 * 76 = 9581 < 9600
    assert plan[126].new == range(9581, 9600)
    assert (plan[1].first, plan[1].new, plan[1].new_at) == (76, range(81, 157), Fraction(81, 16))
    with pytest.raises(IndexError, match="chunks 0 to 126"):
        plan[127]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"total": 0}, "one frame at least"),
        ({"rate": Fraction(0)}, "a rate above 0"),
        ({"temporal_factor": 0}, "temporal factor"),
        ({"latents": 33}, "where the anchors stand, beyond 32 latents"),
        ({"prefix": 21}, "21 prefix latents do not fit into a chunk of 21"),
        ({"prefix": 0}, "must be 1 at least"),
    ],
)
def test_what_cannot_be_is_said(values: dict[str, int], said: str) -> None:
    with pytest.raises(ModelInputError, match=said):
        ChunkPlan(**({"total": 100} | values))  # type: ignore[arg-type]


def test_seconds_are_whole_frames_or_rounded_up_and_said() -> None:
    assert frames_in(600, Fraction(16)) == (9600, None)
    assert frames_in(0.7, Fraction(10)) == (7, None)  # 0.7 * 10 is 7.000000000000001 in binary
    frames, said = frames_in(1.1, Fraction(16))
    assert frames == 18
    assert said == "1.1 s are 17.60 frames at 16 frames per second; the video gets 18, 1.1250 s"
    assert frames_in(1001, Fraction(24000, 1001)) == (24000, None)
    for wrong in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ModelInputError, match="cannot last"):
            frames_in(wrong, Fraction(16))


def test_rates_of_films_are_exact() -> None:
    assert exact_rate(24000 / 1001) == Fraction(24000, 1001)
    assert (exact_rate(16), exact_rate(12.5)) == (Fraction(16), Fraction(25, 2))
    for wrong in (0, -2, float("nan"), float("inf")):
        with pytest.raises(ModelInputError, match="frames per second"):
            exact_rate(wrong)
