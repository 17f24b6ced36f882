import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model.generate.blend import blend, hold_back, join, previous_weights, to_pixels
from model.generate.plan import ChunkPlan


def test_four_frames_are_blended_as_gloria_does() -> None:
    previous, following = torch.full((3, 4, 2, 2), 100.0), torch.full((3, 4, 2, 2), 200.0)
    torch.testing.assert_close(blend(previous, following)[0, :, 0, 0], torch.tensor([100.0, 133.0, 167.0, 200.0]))


@pytest.mark.parametrize(
    ("overlap", "weights"), [(1, [1]), (2, [1, 0]), (3, [1, 0.5, 0]), (4, [1, 0.67, 0.33, 0]), (5, [1, 0.67, 0.33, 0]), (9, [1, 0.67, 0.33, 0])]
)
def test_weights_fall_on_a_line(overlap: int, weights: list[float]) -> None:
    assert previous_weights(overlap).tolist() == pytest.approx(weights)
    assert hold_back(overlap) == len(weights)


def test_where_one_chunk_counts_alone_its_frame_is_taken_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    previous, following = (torch.rand(3, 4, 2, 2, generator=generator) for _ in range(2))
    mixed = blend(previous, following)
    assert torch.equal(mixed[:, 0], previous[:, 0])
    assert torch.equal(mixed[:, 3], following[:, 3])


def test_frames_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        blend(torch.zeros(3, 4, 2, 2), torch.zeros(3, 3, 2, 2))


def joined(plan: ChunkPlan, frames_of: dict[int, Tensor]) -> Tensor:
    """What a loop over all chunks shows."""
    shown, held = [], None
    for chunk in plan:
        frames = frames_of[chunk.number][:, : plan.length - chunk.surplus]
        ready, held = join(held, frames, plan.overlap, chunk.number == len(plan) - 1)
        shown.append(ready)
    assert held is not None
    assert held.shape[1] == 0
    return torch.cat(shown, 1)


def numbered(plan: ChunkPlan, shift: float) -> dict[int, Tensor]:
    """Each frame is its number in the video, plus a shift for each chunk."""
    return {chunk.number: (torch.tensor(chunk.frames) + shift * chunk.number).float()[None, :, None, None].expand(3, -1, 1, 1) for chunk in plan}


@given(st.integers(1, 200), st.integers(2, 8), st.data())
def test_every_frame_is_shown_once_in_its_place(total: int, latents: int, data: st.DataObject) -> None:
    plan = ChunkPlan(total, latents=latents, prefix=data.draw(st.integers(1, latents - 1)), temporal_factor=data.draw(st.sampled_from([1, 2, 4])))
    torch.testing.assert_close(joined(plan, numbered(plan, 0))[0, :, 0, 0], torch.arange(total).float())


def test_an_overlap_of_five_keeps_the_first_frame_of_the_chunk_before() -> None:
    plan = ChunkPlan(40, latents=6, prefix=2)  # 21 frames, 5 of them shared, 16 new
    shown = joined(plan, numbered(plan, 1000))[0, :, 0, 0] - torch.arange(40)
    torch.testing.assert_close(shown[:16], torch.zeros(16))
    torch.testing.assert_close(shown[16:21], torch.tensor([0, 0, 330, 670, 1000.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(shown[21:32], torch.full((11,), 1000.0))
    torch.testing.assert_close(shown[32:37], torch.tensor([1000, 1000, 1330, 1670, 2000.0]), atol=0.01, rtol=0)


def test_pixels_are_rounded_to_the_nearest() -> None:
    levels = torch.arange(256)
    frames = (levels / 127.5 - 1).reshape(1, 1, 16, 16).expand(3, 1, 16, 16)
    pixels = to_pixels(frames + 0.4 / 127.5)
    assert pixels.shape == (1, 16, 16, 3)
    assert torch.equal(pixels[0, :, :, 0].flatten(), levels.to(torch.uint8))
    assert to_pixels(torch.full((3, 1, 1, 1), 1.01)).tolist() == [[[[255] * 3]]]
    assert to_pixels(torch.full((3, 1, 1, 1), -1.01)).tolist() == [[[[0] * 3]]]
