"""The sampling of a chunk against diffusers' own pipelines, and against the steps written out by hand."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from diffusers import WanImageToVideoPipeline, WanPipeline
from PIL import Image
from torch import Tensor

from model.checkpoint import cast
from model.conditions.clip import ClipImageEncoder
from model.conditions.wan_codec import WanCodec
from model.errors import ModelInputError
from model.generate.denoise import Anchors, Conditions, Denoiser, Guidance
from model.layout import Layout, grey_condition
from model.sampler import Sampler, SamplerOptions
from model.transformer import AnchorWanTransformer3DModel
from tests.model.tiny_wan import IMAGE_DIM, LOOKING, SHIFT, TEXT_DIM, VAE_2_2, clip, clip_processor, drawn, scheduler, stock, vae

FRAMES, STEPS, TOKENS = 4, 4, 6
LENGTH = 1 + 4 * (FRAMES - 1)
IN_PLACE, BESIDE = Layout(16, 0), Layout(16, 4)
SAMPLING = SamplerOptions("unipc", STEPS, SHIFT)
HEARING: dict[str, Any] = {"audio_dim": 8, "audio_window": 5, "audio_layers": (0,)}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ours(theirs: Any, **changes: Any) -> AnchorWanTransformer3DModel:
    """Our network with the weights of a stock one; what is new is drawn, and is heard."""
    arguments = {key: value for key, value in theirs.config.items() if not key.startswith("_")}
    network: AnchorWanTransformer3DModel = drawn(lambda: AnchorWanTransformer3DModel(**{**arguments, **changes}), 1)
    network.load_state_dict(theirs.state_dict(), strict=False)
    layers: Any = network.audio_attention.values() if changes.get("audio_dim") else ()
    for layer in layers:
        torch.nn.init.normal_(layer.attention.to_out[0].weight, generator=torch.Generator().manual_seed(0))
    return network


@pytest.fixture(scope="module")
def network() -> AnchorWanTransformer3DModel:
    """Text to video."""
    return ours(stock(), **HEARING)


@pytest.fixture(scope="module")
def looking() -> AnchorWanTransformer3DModel:
    """Image to video, 36 channels."""
    return ours(stock(**LOOKING))


@pytest.fixture
def conditions() -> Conditions:
    anchors = Anchors(draw(1, 16, 2, 4, 4, seed=1), torch.tensor([[32.0, 48.0]], dtype=torch.float64), ("global", "viewpoint left"))
    return Conditions(draw(1, TOKENS, TEXT_DIM, seed=2), draw(1, TOKENS, TEXT_DIM, seed=3), anchors=anchors, audio=draw(1, FRAMES, 5, 8, seed=4))


def denoiser(network: Any, layout: Layout = IN_PLACE, scale: float = 1.0, sampling: SamplerOptions = SAMPLING, **options: Any) -> Denoiser:
    return Denoiser(network, layout, sampling, Guidance(scale, options.pop("drops", ("text",))), **options)


@contextmanager
def inputs_of(network: Any) -> Iterator[list[dict[str, Any]]]:
    """What a network is given, call by call."""
    seen: list[dict[str, Any]] = []
    names = ("hidden_states", "timestep", "encoder_hidden_states", "encoder_hidden_states_image")

    def see(_: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen.append({**dict(zip(names, positional, strict=False)), **named})

    handle = network.register_forward_pre_hook(see, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


# against diffusers' pipelines


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_text_to_video_is_that_of_diffusers(scale: float) -> None:
    theirs = stock()
    noise, text, negative = draw(1, 16, FRAMES, 4, 6), draw(1, TOKENS, TEXT_DIM, seed=1), draw(1, TOKENS, TEXT_DIM, seed=2)
    pipeline: Any = WanPipeline(None, None, None, scheduler(), theirs)
    pipeline.set_progress_bar_config(disable=True)
    size = {"height": 32, "width": 48, "num_frames": LENGTH, "num_inference_steps": STEPS, "guidance_scale": scale}
    expected = pipeline(prompt_embeds=text, negative_prompt_embeds=negative, latents=noise, output_type="latent", **size).frames
    found = denoiser(ours(theirs), scale=scale).denoise(noise, Conditions(text, negative))
    assert (expected - noise).abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def as_frame(image: Image.Image) -> Tensor:
    """(1, 3, 1, H, W)."""
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1)[None, :, None]


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_a_first_frame_in_place_is_that_of_diffusers_5b(scale: float) -> None:
    theirs, wan = stock(in_channels=48, out_channels=48), vae(**VAE_2_2)
    noise, text, negative = draw(1, 48, FRAMES, 2, 4), draw(1, TOKENS, TEXT_DIM, seed=1), draw(1, TOKENS, TEXT_DIM, seed=2)
    pipeline: Any = WanImageToVideoPipeline(None, None, wan, scheduler(), transformer=theirs, expand_timesteps=True)
    pipeline.set_progress_bar_config(disable=True)
    size = {"height": 32, "width": 64, "num_frames": LENGTH, "num_inference_steps": STEPS, "guidance_scale": scale}
    given = {"image": picture(64, 32), "prompt_embeds": text, "negative_prompt_embeds": negative, "latents": noise}
    with inputs_of(theirs) as their_inputs:
        expected = pipeline(**given, output_type="latent", **size).frames

    condition = WanCodec(wan).encode(as_frame(picture(64, 32)))
    network = ours(theirs)
    with inputs_of(network) as our_inputs:
        found = denoiser(network, Layout(48, 0), scale).denoise(noise, Conditions(text, negative, given=1, condition=condition))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(found[:, :, :1], condition)
    assert len(our_inputs) == len(their_inputs) == STEPS * (1 if scale == 1 else 2)
    for mine, his in zip(our_inputs, their_inputs, strict=True):
        torch.testing.assert_close(mine["hidden_states"], his["hidden_states"], rtol=0, atol=1e-5)
        assert torch.equal(mine["timestep"].repeat_interleave(2, dim=1), his["timestep"])  # theirs has a time for each of a frame's two tokens


def test_a_first_frame_beside_is_told_as_in_diffusers() -> None:
    """The channels are those of the pipeline's own code; the given frame is noised clean in ours and whatever the sampler makes of it in theirs, so only
    the first step, where both are noise, has the same noisy channels."""
    theirs, wan = stock(**LOOKING), vae()
    noise, text, looks = draw(1, 16, FRAMES, 4, 6), draw(1, 512, TEXT_DIM, seed=1), ClipImageEncoder(clip(), clip_processor())
    pipeline: Any = WanImageToVideoPipeline(None, None, wan, scheduler(), clip_processor(), clip(), theirs)
    pipeline.set_progress_bar_config(disable=True)
    size = {"height": 32, "width": 48, "num_frames": LENGTH, "num_inference_steps": STEPS, "guidance_scale": 1.0}
    with inputs_of(theirs) as their_inputs:
        pipeline(image=picture(48, 32), prompt_embeds=text, latents=noise, output_type="latent", **size)

    codec, network = WanCodec(wan), ours(theirs)
    frame = as_frame(picture(48, 32))
    condition, looked_at = grey_condition(codec, frame, FRAMES), looks.encode(frame[:, :, 0])
    with inputs_of(network) as our_inputs:
        found = denoiser(network, BESIDE).denoise(noise, Conditions(text, text, looked_at, given=1, condition=condition))
    assert torch.equal(found[:, :, :1], condition[:, :, :1])
    for mine, his in zip(our_inputs, their_inputs, strict=True):
        assert mine["hidden_states"].shape == his["hidden_states"].shape == (1, 36, FRAMES, 4, 6)
        assert torch.equal(mine["hidden_states"][:, 16:20], his["hidden_states"][:, 16:20])
        torch.testing.assert_close(mine["hidden_states"][:, 20:], his["hidden_states"][:, 20:], rtol=0, atol=1e-5)
        assert torch.equal(mine["timestep"], his["timestep"].float())
        torch.testing.assert_close(mine["encoder_hidden_states_image"], his["encoder_hidden_states_image"], rtol=0, atol=1e-5)
    torch.testing.assert_close(our_inputs[0]["hidden_states"], their_inputs[0]["hidden_states"], rtol=0, atol=1e-5)


# given frames


def test_given_frames_in_place_are_clean_and_at_time_0(network: AnchorWanTransformer3DModel, conditions: Conditions) -> None:
    noise, clean = draw(1, 16, FRAMES, 4, 4), draw(1, 16, 2, 4, 4, seed=9)
    with inputs_of(network) as seen:
        found = denoiser(network, scale=3.0).denoise(noise, replace(conditions, given=2, condition=clean))
    assert torch.equal(found[:, :, :2], clean)
    assert len(seen) == 2 * STEPS
    for call in seen:
        assert torch.equal(call["hidden_states"][:, :, :2], clean)
        assert torch.equal(call["timestep"][:, :2], torch.zeros(1, 2))
        assert (call["timestep"][:, 2:] > 0).all()


def test_given_frames_beside_are_as_noisy_as_the_others(looking: AnchorWanTransformer3DModel) -> None:
    noise, condition = draw(1, 16, FRAMES, 4, 4), draw(1, 16, FRAMES, 4, 4, seed=9)
    text, looked_at = draw(1, 512, TEXT_DIM, seed=1), draw(1, 5, IMAGE_DIM, seed=2)
    with inputs_of(looking) as seen:
        found = denoiser(looking, BESIDE).denoise(noise, Conditions(text, text, looked_at, given=2, condition=condition))
    assert torch.equal(found[:, :, :2], condition[:, :, :2])
    for call, sigma in zip(seen, Sampler(SAMPLING).sigmas, strict=False):
        told = call["hidden_states"]
        torch.testing.assert_close(told[:, :16, :2], (1 - sigma) * condition[:, :, :2] + sigma * noise[:, :, :2])
        assert told[:, 16:20].mean(dim=(0, 1, 3, 4)).tolist() == [1.0, 1.0, 0.0, 0.0]
        assert torch.equal(told[:, 20:], condition)


def test_more_condition_than_is_given_does_not_matter_in_place(network: AnchorWanTransformer3DModel, conditions: Conditions) -> None:
    noise, clean = draw(1, 16, FRAMES, 4, 4), draw(1, 16, FRAMES, 4, 4, seed=9)
    run = denoiser(network)
    exact = run.denoise(noise, replace(conditions, given=1, condition=clean[:, :, :1]))
    assert torch.equal(run.denoise(noise, replace(conditions, given=1, condition=clean)), exact)


def test_half_precision_keeps_what_is_given_to_the_bit(conditions: Conditions) -> None:
    half, noise, clean = ours(stock(), **HEARING), draw(1, 16, FRAMES, 4, 4), draw(1, 16, 2, 4, 4, seed=9)
    whole = denoiser(half).denoise(noise, replace(conditions, given=2, condition=clean))
    cast(half, torch.bfloat16)
    with inputs_of(half) as seen:
        found = denoiser(half, cache_anchors=True).denoise(noise, replace(conditions, given=2, condition=clean))
    assert {call[name].dtype for call in seen for name in ("hidden_states", "encoder_hidden_states", "audio")} == {torch.bfloat16}
    assert found.dtype == torch.float32
    assert torch.equal(found[:, :, :2], clean)
    assert (found - whole).abs().mean() < 0.1 * whole.std()


def test_a_network_that_is_told_beside_cannot_do_without(looking: AnchorWanTransformer3DModel) -> None:
    text, looked_at = draw(1, 512, TEXT_DIM, seed=1), draw(1, 5, IMAGE_DIM, seed=2)
    with pytest.raises(ModelInputError, match="needs the latents of the given frames, or of grey"):
        denoiser(looking, BESIDE).denoise(draw(1, 16, FRAMES, 4, 4), Conditions(text, text, looked_at))


# guidance, anchors, audio


@pytest.mark.parametrize("drops", [(), ("text",), ("audio",), ("anchors",), ("text", "audio", "anchors")])
def test_the_pass_without_goes_without_what_is_dropped(conditions: Conditions, drops: tuple[Literal["text", "audio", "anchors"], ...]) -> None:
    without = Guidance(5.0, drops).without(conditions)
    assert without.text is (conditions.negative if "text" in drops else conditions.text)
    assert without.audio is (None if "audio" in drops else conditions.audio)
    assert without.anchors is (None if "anchors" in drops else conditions.anchors)
    rest = ("negative", "picture", "given", "condition")
    assert all(getattr(without, name) is getattr(conditions, name) for name in rest)


def euler_by_hand(network: Any, noise: Tensor, sampling: SamplerOptions, tokens: dict[str, Any], without: dict[str, Any] | None, scale: float) -> Tensor:
    sampler, latents = Sampler(sampling), noise
    for step in range(sampling.steps):
        time = sampler.timesteps[step].expand(1)
        velocity = network(latents, time, **tokens, return_dict=False)[0]
        if without is not None:
            other = network(latents, time, **without, return_dict=False)[0]
            velocity = other + scale * (velocity - other)
        latents = latents + (sampler.sigmas[step + 1] - sampler.sigmas[step]) * velocity
    return latents


def test_half_precision_guides_in_float32(conditions: Conditions) -> None:
    """One Euler step from both passes' velocities, combined in float32."""
    half, noise, sampling = ours(stock(), **HEARING), draw(1, 16, FRAMES, 4, 4), SamplerOptions("euler", 1, SHIFT)
    cast(half, torch.bfloat16)
    velocities: list[Tensor] = []
    handle = half.register_forward_hook(lambda _module, _given, output: velocities.append(output[0]))
    found = denoiser(half, scale=5.0, sampling=sampling).denoise(noise, conditions)
    handle.remove()
    given, without = velocities
    assert given.dtype == torch.bfloat16
    sigmas = Sampler(sampling).sigmas

    def stepped(velocity: Tensor) -> Tensor:
        return noise + (sigmas[1] - sigmas[0]) * velocity.float()

    torch.testing.assert_close(found, stepped(without.float() + 5 * (given.float() - without.float())), rtol=0, atol=1e-6)
    assert (found - stepped(without + 5 * (given - without))).abs().max() > 1e-3


@pytest.mark.parametrize("cached", [False, True], ids=["anchors", "cache"])
@torch.no_grad()
def test_all_conditions_reach_the_network(network: AnchorWanTransformer3DModel, conditions: Conditions, cached: bool) -> None:
    """Euler's steps by hand: x + (next sigma - sigma) * velocity."""
    sampling, noise, anchors = SamplerOptions("euler", 3, SHIFT), draw(1, 16, FRAMES, 4, 4), conditions.anchors
    assert anchors is not None

    def of(text: Tensor) -> dict[str, Any]:
        cache = network.cache_anchors(anchors.latents, anchors.positions, text)
        tokens = {"anchor_cache": cache} if cached else {"anchors": anchors.latents, "anchor_positions": anchors.positions}
        return {"encoder_hidden_states": text, "audio": conditions.audio, **tokens}

    run = denoiser(network, scale=3.0, sampling=sampling, drops=("text", "audio"), cache_anchors=cached)
    expected = euler_by_hand(network, noise, sampling, of(conditions.text), {**of(conditions.negative), "audio": None}, 3.0)
    found = run.denoise(noise, conditions)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(run.denoise(noise, conditions), found)  # also when the cache is there already
    for less in (replace(conditions, anchors=None), replace(conditions, audio=None)):
        assert (run.denoise(noise, less) - found).abs().max() > 1e-3


def test_anchors_are_cached_once_per_pass_and_text(network: AnchorWanTransformer3DModel, conditions: Conditions, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Tensor] = []

    def count(*arguments: Any) -> Any:
        made.append(arguments[2])
        return AnchorWanTransformer3DModel.cache_anchors(network, *arguments)

    monkeypatch.setattr(network, "cache_anchors", count)
    noise, run = draw(1, 16, FRAMES, 4, 4), denoiser(network, scale=2.0, cache_anchors=True)
    run.denoise(noise, conditions)
    run.denoise(noise, replace(conditions, audio=None))
    assert len(made) == 2
    assert made[0] is conditions.text
    assert made[1] is conditions.negative
    run.denoise(noise, replace(conditions, text=conditions.text.clone()))
    assert len(made) == 3  # the negative prompt is the same
    assert conditions.anchors is not None
    run.denoise(noise, replace(conditions, anchors=replace(conditions.anchors, positions=conditions.anchors.positions + 1)))
    assert len(made) == 5

    made.clear()
    denoiser(network, cache_anchors=True).denoise(noise, conditions)
    assert len(made) == 1  # without guidance there is one pass
    made.clear()
    denoiser(network, scale=2.0, cache_anchors=True, drops=("anchors",)).denoise(noise, conditions)
    assert len(made) == 1
    made.clear()
    denoiser(network, scale=2.0, cache_anchors=True).denoise(noise, replace(conditions, anchors=None))
    assert made == []


def test_another_picture_makes_the_cache_anew(looking: AnchorWanTransformer3DModel) -> None:
    text, one, other = draw(1, 512, TEXT_DIM, seed=1), draw(1, 5, IMAGE_DIM, seed=2), draw(1, 5, IMAGE_DIM, seed=3)
    noise, condition = draw(1, 16, FRAMES, 4, 4), draw(1, 16, FRAMES, 4, 4, seed=9)
    anchors = Anchors(BESIDE.anchors(draw(1, 16, 1, 4, 4, seed=1)), torch.tensor([[32.0]], dtype=torch.float64), ("global",))
    conditions = Conditions(text, text, one, anchors, given=1, condition=condition)
    used, fresh = denoiser(looking, BESIDE, cache_anchors=True), denoiser(looking, BESIDE, cache_anchors=True)
    used.denoise(noise, conditions)
    assert torch.equal(used.denoise(noise, replace(conditions, picture=other)), fresh.denoise(noise, replace(conditions, picture=other)))


def test_anchors_that_change_in_every_step_cannot_be_cached() -> None:
    with pytest.raises(ModelInputError, match="cannot be cached; leave out --cache-anchors"):
        denoiser(ours(stock(), anchor_timestep="video"), cache_anchors=True)


class Onlooker:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[int, int]] = Counter()

    def observe(self, block: int, query: Tensor, key: Tensor, key_mask: Tensor | None) -> None:
        assert query.shape[1] <= key.shape[1]
        assert key_mask is None
        self.calls[block, key.shape[1]] += 1


@pytest.mark.parametrize("cached", [False, True], ids=["anchors", "cache"])
def test_the_onlooker_sees_only_the_pass_with_all_conditions(network: AnchorWanTransformer3DModel, conditions: Conditions, cached: bool) -> None:
    onlooker, steps = Onlooker(), list[int]()
    run = denoiser(network, scale=2.0, drops=("anchors",), cache_anchors=cached)
    run.denoise(draw(1, 16, FRAMES, 4, 4), conditions, onlooker, steps.append)
    tokens = (FRAMES + 2) * 4  # of the video and two anchors
    assert onlooker.calls == {(0, tokens): STEPS, (1, tokens): STEPS}
    assert steps == list(range(STEPS))


def test_without_guidance_the_network_runs_once_a_step(network: AnchorWanTransformer3DModel, conditions: Conditions) -> None:
    with inputs_of(network) as seen:
        found = denoiser(network).denoise(draw(1, 16, FRAMES, 4, 4), conditions)
    assert len(seen) == STEPS
    assert not found.requires_grad
