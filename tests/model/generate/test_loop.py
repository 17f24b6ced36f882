"""Chunks in a row, made by denoisers whose answers are known: no network, so whatever is wrong is wrong in the loop."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.generate import loop as loop_module
from model.generate.blend import join, to_pixels
from model.generate.loop import ChunkLoop, Denoise
from model.generate.options import Continuation
from model.generate.plan import Chunk, ChunkPlan
from model.layout import grey_condition

SIZE = 4
"""Pixels; two latents across and down."""

BOTH: tuple[Continuation, ...] = ("latents", "frames")


def make_loop(plan: ChunkPlan, denoise: Denoise, continuation: Continuation = "latents", beside: bool = False, seed: int = 0) -> ChunkLoop:
    codec = PixelUnshuffleCodec(spatial_factor=2, temporal_factor=plan.temporal_factor)
    return ChunkLoop(plan, codec, denoise, (SIZE // 2, SIZE // 2), seed, beside, continuation)


def whole(loop: ChunkLoop, image: Tensor | None = None) -> Tensor:
    """The video, (3, T, H, W)."""
    return torch.cat([made.frames for made in loop.run(image)], dim=1)


# (a) frames that are known by their number


class Truth:
    """Knows every frame of the video by its number, and checks that what is given are the frames that it is told they are."""

    def __init__(self, plan: ChunkPlan, codec: PixelUnshuffleCodec, beside: bool) -> None:
        self._plan, self._codec, self._beside = plan, codec, beside
        self.pixels = torch.randint(0, 256, (plan.total + plan.length, SIZE, SIZE, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        self.frames = self.pixels.permute(3, 0, 1, 2).float() / 127.5 - 1
        self.given: list[int] = []

    def __call__(self, chunk: Chunk, noise: Tensor, given: int, condition: Tensor | None) -> Tensor:
        frames = self.frames[None, :, chunk.first : chunk.first + self._plan.length]
        latents = self._codec.encode(frames)
        assert latents.shape == noise.shape
        self.given.append(given)
        assert (condition is None) == (given == 0)
        if condition is not None:
            shown = 1 + self._plan.temporal_factor * (given - 1)
            torch.testing.assert_close(self._codec.decode(condition[:, :, :given]), frames[:, :, :shown], rtol=0, atol=0)
            assert condition.shape[2] == (self._plan.latents if self._beside else given)
            if self._beside:
                grey = grey_condition(self._codec, frames[:, :, :shown], self._plan.latents)
                assert torch.equal(condition[:, :, given:], grey[:, :, given:])
        return latents


@st.composite
def plans(draw: st.DrawFn) -> ChunkPlan:
    prefix = draw(st.integers(1, 3))
    return ChunkPlan(draw(st.integers(1, 90)), latents=draw(st.integers(prefix + 1, 7)), prefix=prefix, temporal_factor=draw(st.sampled_from([1, 4])))


@settings(max_examples=25)
@given(plans(), st.sampled_from(BOTH), st.booleans(), st.booleans())
def test_a_video_that_is_known_comes_out_as_it_is(plan: ChunkPlan, continuation: Continuation, beside: bool, has_image: bool) -> None:
    has_image = has_image or beside  # such a network is never without
    codec = PixelUnshuffleCodec(spatial_factor=2, temporal_factor=plan.temporal_factor)
    truth = Truth(plan, codec, beside)
    made = list(make_loop(plan, truth, continuation, beside).run(truth.frames[:, 0] if has_image else None))
    video = torch.cat([chunk.frames for chunk in made], dim=1)
    assert torch.equal(to_pixels(video), truth.pixels[: plan.total])
    torch.testing.assert_close(video, truth.frames[:, : plan.total], rtol=0, atol=2e-7)  # the weights add up to 1 but for rounding
    assert truth.given == [int(has_image)] + [plan.prefix] * (len(plan) - 1)
    assert [chunk.chunk for chunk in made] == list(plan)
    assert made[-1].handover.held.shape[1] == 0


# (b) a straight line that goes on from where the prefix ends

SLOPE = 1 / 128


class Ramp:
    """Every frame is one grey, SLOPE lighter than the frame before. All it knows of the video is what it is given."""

    def __init__(self, codec: PixelUnshuffleCodec, start: float = -0.75) -> None:
        self._codec, self._start = codec, start

    def __call__(self, _: Chunk, noise: Tensor, given: int, condition: Tensor | None) -> Tensor:
        last = torch.tensor(self._start) if condition is None else self._codec.decode(condition[:, :, :given])[:, :, -1].mean()
        line = last + SLOPE * torch.arange(1 + self._codec.temporal_factor * (noise.shape[2] - max(given, 1)))
        made = self._codec.encode(line.view(1, 1, -1, 1, 1).expand(1, 3, -1, SIZE, SIZE))
        return made if condition is None else torch.cat([condition[:, :, :given], made[:, :, 1:]], dim=2)


def ramp_loop(temporal_factor: int, prefix: int, continuation: Continuation, beside: bool = False) -> ChunkLoop:
    latents = 5 if temporal_factor == 4 else 12
    plan = ChunkPlan(100, latents=latents, prefix=prefix, temporal_factor=temporal_factor)
    return make_loop(plan, Ramp(PixelUnshuffleCodec(2, temporal_factor)), continuation, beside)


def steps_of(video: Tensor) -> Tensor:
    """(T - 1,) mean difference of neighbouring frames."""
    return video.diff(dim=1).mean(dim=(0, 2, 3))


def boundary_ratio(plan: ChunkPlan, video: Tensor) -> float:
    """Mean difference of neighbouring frames of which one is blended or the next chunk's first own, over the mean of all others."""
    steps = steps_of(video).abs()
    at_boundary = torch.zeros(len(steps), dtype=torch.bool)
    for chunk in list(plan)[1:]:
        at_boundary[chunk.first - 1 : chunk.new.start + 1] = True
    return float(steps[at_boundary].mean() / steps[~at_boundary].mean())


@pytest.mark.parametrize("continuation", BOTH)
@pytest.mark.parametrize("temporal_factor", [1, 4])
@pytest.mark.parametrize("prefix", [1, 2, 3])
def test_a_motion_that_goes_on_is_one_straight_line(temporal_factor: int, prefix: int, continuation: Continuation) -> None:
    loop = ramp_loop(temporal_factor, prefix, continuation)
    assert len(loop.plan) > 4
    video = whole(loop)
    line = -0.75 + SLOPE * torch.arange(loop.plan.total)
    torch.testing.assert_close(video, line.view(1, -1, 1, 1).expand_as(video), rtol=0, atol=1e-6)
    assert boundary_ratio(loop.plan, video) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("continuation", BOTH)
@pytest.mark.parametrize("beside", [False, True], ids=["in place", "beside"])
def test_it_begins_with_the_picture_that_is_given(beside: bool, continuation: Continuation) -> None:
    loop = ramp_loop(4, 2, continuation, beside)
    video = whole(loop, torch.full((3, SIZE, SIZE), -0.25))
    line = -0.25 + SLOPE * torch.arange(loop.plan.total)
    torch.testing.assert_close(video, line.view(1, -1, 1, 1).expand_as(video), rtol=0, atol=1e-6)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_chunk_that_is_one_frame_off_would_be_seen(wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above is one only if it fails for a wrong alignment."""
    monkeypatch.setattr(loop_module, "join", lambda held, frames, overlap, is_last: join(held, frames, overlap + wrong, is_last))
    loop = ramp_loop(4, 2, "latents")
    steps = steps_of(whole(loop)) / SLOPE
    assert steps.min() < 0.8 or steps.max() > 1.2


def test_a_prefix_that_is_one_frame_off_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ramp_loop(4, 2, "latents").plan
    stale = ramp_loop(4, 2, "frames")
    given_next = ChunkLoop._given_next
    monkeypatch.setattr(ChunkLoop, "_given_next", lambda self, latents, frames: given_next(self, latents, frames.roll(1, dims=1)))
    steps = steps_of(whole(stale)) / SLOPE
    assert boundary_ratio(plan, whole(stale)) != pytest.approx(1.0, abs=0.1)
    assert steps.max() - steps.min() > 0.2


# (c) going on


def blurred(chunk: Chunk, noise: Tensor, given: int, condition: Tensor | None) -> Tensor:
    """Depends on everything that it is told."""
    start = noise[:, :, :0] if condition is None else condition[:, :, :given]
    level = start.mean() if given else torch.tensor(0.0)
    return torch.cat([start, torch.tanh(noise[:, :, given:] + level + 0.01 * chunk.number)], dim=2)


@pytest.mark.parametrize("continuation", BOTH)
@pytest.mark.parametrize("beside", [False, True], ids=["in place", "beside"])
def test_going_on_after_any_chunk_gives_the_same_frames(continuation: Continuation, beside: bool) -> None:
    loop = make_loop(ChunkPlan(83, latents=5), blurred, continuation, beside, seed=3)
    image = torch.linspace(-1, 1, 3 * SIZE * SIZE).view(3, SIZE, SIZE)
    made = list(loop.run(image))
    assert len(made) > 5
    for done in made[:-1]:
        number = done.chunk.number
        again = list(loop.run(image, number, done.handover))
        assert [chunk.chunk.number for chunk in again] == list(range(number + 1, len(made)))
        for one, other in zip(again, made[number + 1 :], strict=True):
            assert torch.equal(one.frames, other.frames)
            assert torch.equal(one.handover.condition, other.handover.condition)
            assert torch.equal(one.handover.held, other.handover.held)
    assert list(loop.run(image, len(made) - 1, made[-1].handover)) == []


def test_what_is_handed_over_does_not_grow() -> None:
    made = list(make_loop(ChunkPlan(400, latents=5), blurred).run())
    sizes = {(chunk.handover.condition.shape, chunk.handover.held.shape) for chunk in made[:-1]}
    assert sizes == {((1, 48, 2, 2, 2), (3, 4, SIZE, SIZE))}


@pytest.mark.parametrize("continuation", BOTH)
@pytest.mark.parametrize("beside", [False, True], ids=["in place", "beside"])
def test_behind_the_last_chunk_nothing_is_encoded(continuation: Continuation, beside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode = PixelUnshuffleCodec.encode

    def seen(self: PixelUnshuffleCodec, frames: Tensor) -> Tensor:
        encoded.append(frames.shape[2])
        return encode(self, frames)

    monkeypatch.setattr(PixelUnshuffleCodec, "encode", seen)
    made = list(make_loop(ChunkPlan(83, latents=5), blurred, continuation, beside).run())
    assert len(encoded) == (0 if continuation == "latents" and not beside else len(made) - 1)
    assert made[-1].handover.condition.shape == (1, 48, 0, 2, 2)
    assert all(chunk.handover.condition.shape[2] for chunk in made[:-1])


# (d) noise


def test_noise_is_of_seed_and_chunk_alone() -> None:
    plan = ChunkPlan(300, latents=5)
    loops = {seed: make_loop(plan, blurred, seed=seed) for seed in (0, 1, 2)}
    torch.manual_seed(5)
    forth = {(seed, chunk.number): loop.noise(chunk) for seed, loop in loops.items() for chunk in plan}
    torch.manual_seed(6)
    back = {(seed, chunk.number): loop.noise(chunk) for seed, loop in reversed(loops.items()) for chunk in reversed(list(plan))}
    assert all(torch.equal(noise, back[key]) for key, noise in forth.items())
    flat = torch.stack([noise.flatten() for noise in forth.values()])
    together = torch.corrcoef(flat) - torch.eye(len(flat))
    assert together.abs().max() < 5 / flat.shape[1] ** 0.5  # no two of (seed, chunk) have anything in common
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    loops[0].noise(plan[3])
    assert torch.equal(torch.rand(2), expected)  # nobody else's random numbers change


def test_noise_is_standard_normal() -> None:
    plan = ChunkPlan(900, latents=5)
    loop = make_loop(plan, blurred, seed=7)
    noise = torch.cat([loop.noise(chunk).flatten() for chunk in plan]).double()
    count = len(noise)
    assert count > 40_000
    assert abs(noise.mean()) < 4 / count**0.5
    assert abs(noise.std() - 1) < 4 / (2 * count) ** 0.5
    quantiles = torch.special.ndtr(noise.sort().values)
    assert (quantiles - (torch.arange(count) + 0.5) / count).abs().max() < 2 / count**0.5  # Kolmogorov-Smirnov, p < .001


def test_the_denoiser_gets_that_noise() -> None:
    plan, seen = ChunkPlan(60, latents=5), list[Tensor]()

    def look(chunk: Chunk, noise: Tensor, given: int, condition: Tensor | None) -> Tensor:
        seen.append(noise)
        return blurred(chunk, noise, given, condition)

    loop = make_loop(plan, look, seed=4)
    whole(loop)
    assert all(torch.equal(noise, loop.noise(chunk)) for noise, chunk in zip(seen, plan, strict=True))
    assert not any(torch.equal(one, other) for one, other in pairwise(seen))


# (e) blending


def constant_by_chunk(level: Callable[[int], float]) -> Denoise:
    return lambda chunk, noise, _given, _condition: torch.full_like(noise, 2 * level(chunk.number))  # the codec's latents are twice the pixels


def test_chunks_that_disagree_are_blended_as_in_the_paper() -> None:
    """Of the five frames that two chunks share the first is the earlier chunk's, the others are w * earlier + (1 - w) * later."""
    plan = ChunkPlan(29, latents=5)
    levels = [0.75, -0.25]
    video = whole(make_loop(plan, constant_by_chunk(levels.__getitem__)))
    later = video.mean(dim=(0, 2, 3))
    weights = (later - levels[1]) / (levels[0] - levels[1])
    assert weights.tolist() == pytest.approx([1.0] * 13 + [1.0, 0.67, 0.33, 0.0] + [0.0] * 12, abs=1e-6)


def test_one_chunk_is_shown_whole() -> None:
    video = whole(make_loop(ChunkPlan(10, latents=5), constant_by_chunk(lambda _: 0.5)))
    assert torch.equal(video, torch.full((3, 10, SIZE, SIZE), 0.5))
