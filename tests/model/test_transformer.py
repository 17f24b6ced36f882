"""The network against stock Wan: alone to the bit, with anchors and audio against the stock model's own parts put together by hand.

The layouts are those of the presets, the sizes small.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
from PIL import Image
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from model.attention import AnchorAttnProcessor, KeyValue
from model.errors import ModelInputError
from model.positions import AnchorPositions
from model.rope import rotary_tables
from model.transformer import NEW_PARAMETERS, STOCK_ARGUMENTS, AnchorWanTransformer3DModel
from tests.model import tiny_wan
from tests.model.small_networks import (
    BATCH,
    DIM,
    FRAME_TOKENS,
    FRAMES,
    HEAD_DIM,
    HEADS,
    HEIGHT,
    LAYOUTS,
    WIDTH,
    anchored,
    cached,
    drawn,
    frame_times,
    heard,
    inputs,
    run_model,
    sharpened,
    small,
    sounding,
)

CLOSE = 1e-5
"""Float32: the same sums in another order."""

ROUGH = 2**-6
"""Bfloat16, relative: a value keeps 8 bits, so a rounding is off by at most 2^-9, its root mean square is 2^-9.8. Some 36 of them stand one after
the other in two blocks; if independent, they come to 6 times that, and the difference of two runs to 2^0.5 times as much again: 2^-6.7."""


def stock_of(model: Any) -> Any:
    """The stock model with the same weights."""
    stock = WanTransformer3DModel(**{name: value for name, value in model.config.items() if name in STOCK_ARGUMENTS})
    stock.load_state_dict({name: value for name, value in model.state_dict().items() if not name.startswith(NEW_PARAMETERS)})
    return stock


def lowered(model: Any, dtype: torch.dtype) -> Any:
    """In a lower precision as ``from_pretrained`` makes it: what Wan keeps in float32 stays so. (``.to`` would round the stock model's rotary tables too.)"""
    for name, parameter in model.named_parameters():
        if not set(name.split(".")) & set(WanTransformer3DModel._keep_in_fp32_modules):
            parameter.data = parameter.data.to(dtype)
    return model


def gap(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).abs().max().detach())


def relative_gap(one: Tensor, other: Tensor) -> float:
    return float(((one.float() - other.float()).norm() / other.float().norm()).detach())


def assert_same(one: Tensor, other: Tensor, dtype: torch.dtype = torch.float32) -> None:
    if dtype == torch.float32:
        assert gap(one, other) < CLOSE
    else:
        assert relative_gap(one, other) < ROUGH


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.fixture(scope="module")
def anchor_model(layout: str, dtype: torch.dtype) -> Any:
    """Every layout in both precisions."""
    return lowered(sharpened(heard(small(layout))), dtype)


@pytest.fixture(scope="module")
def plain() -> Any:
    """One network in float32, for what does not depend on the layout."""
    return sharpened(heard(small("wan2_1_t2v_1_3b")))


# without anchors and audio: stock Wan


def gradients(model: Any, given: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor | None]]:
    leaves = {name: given[name].clone().requires_grad_() for name in ("hidden_states", "encoder_hidden_states")}
    model.zero_grad()
    output = model(**(given | leaves)).sample
    output.backward(drawn(*output.shape, seed=6).to(output))
    return output, {name: parameter.grad for name, parameter in model.named_parameters()} | {name: leaf.grad for name, leaf in leaves.items()}


def test_zero_anchors_and_silent_audio_are_stock_wan_to_the_bit(layout: str, dtype: torch.dtype) -> None:
    model = lowered(small(layout), dtype)
    stock = lowered(stock_of(model), dtype)
    given = inputs(model, dtype)
    output, expected = gradients(stock, given)
    assert all(gradient is not None and bool(gradient.any()) for gradient in expected.values())
    for extra in (
        {},
        sounding(dtype),
        anchored(model, 0, dtype=dtype),
        anchored(model, 0, dtype=dtype) | sounding(dtype) | {"audio_mask": torch.tensor([True, False])},
    ):
        ours, found = gradients(model, given | extra)
        assert ours.dtype == output.dtype == dtype
        assert torch.equal(ours, output)
        assert [name for name, gradient in expected.items() if not torch.equal(found[name], gradient)] == []  # type: ignore[arg-type]
        assert {name for name in found if name not in expected} == {name for name, _ in model.named_parameters() if name.startswith(NEW_PARAMETERS)}


@pytest.mark.parametrize("scale", [1.0, 5.0], ids=["alone", "guided"])
@pytest.mark.parametrize("given", [False, True], ids=["text", "first frame"])
def test_in_diffusers_pipelines_it_is_the_stock_model_to_the_bit(scale: float, given: bool) -> None:
    """A pipeline that is given a first frame tells the time of every token."""
    changes = {"in_channels": 48, "out_channels": 48, "text_dim": tiny_wan.TEXT_DIM} if given else {"text_dim": tiny_wan.TEXT_DIM}
    ours = heard(small("wan2_1_t2v_1_3b", **changes))
    size = {"height": 32, "width": 64, "num_frames": 9, "num_inference_steps": 3, "guidance_scale": scale, "output_type": "latent"}
    prompts = {"prompt_embeds": drawn(1, 6, tiny_wan.TEXT_DIM, seed=1), "negative_prompt_embeds": drawn(1, 6, tiny_wan.TEXT_DIM, seed=2)}
    made = []
    for network in (stock_of(ours), ours):
        if given:
            vae = tiny_wan.vae(**tiny_wan.VAE_2_2)
            pipeline: Any = WanImageToVideoPipeline(None, None, vae, tiny_wan.scheduler(), transformer=network, expand_timesteps=True)
            start = {"image": Image.linear_gradient("L").convert("RGB").resize((64, 32)), "latents": drawn(1, 48, 3, 2, 4)}
        else:
            pipeline = WanPipeline(None, None, None, tiny_wan.scheduler(), network)
            start = {"latents": drawn(1, 16, 3, 4, 8)}
        pipeline.set_progress_bar_config(disable=True)
        made.append(pipeline(**prompts, **start, **size).frames)
        if network is ours and not given:
            assert torch.equal(pipeline(**prompts, **start, **size, attention_kwargs={"scale": 1.0}).frames, made[0])
    assert torch.equal(made[0], made[1])
    assert made[0].std() > 0.1


def test_arguments_stand_where_the_stock_model_has_them() -> None:
    ours, theirs = (list(inspect.signature(kind.forward).parameters) for kind in (AnchorWanTransformer3DModel, WanTransformer3DModel))
    assert ours[: len(theirs)] == theirs


def test_positions_and_mask_may_lie_elsewhere_than_the_anchors(plain: Any) -> None:
    """What a trainer writes lies on the CPU. Without a GPU, the meta device is another one."""
    with torch.device("meta"):
        elsewhere = AnchorWanTransformer3DModel(**{name: value for name, value in plain.config.items() if not name.startswith("_")})
    given = {name: value.to("meta") for name, value in inputs(plain).items()}
    anchors = {"anchors": anchored(plain)["anchors"].to("meta"), "anchor_positions": anchored(plain)["anchor_positions"]}
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert run_model(elsewhere, **given, **anchors, anchor_mask=mask).device.type == "meta"
    cache = elsewhere.cache_anchors(**anchors, encoder_hidden_states=given["encoder_hidden_states"], anchor_mask=mask)
    assert cache.mask.device.type == "meta"


def test_what_is_kept_in_float32_is_what_stock_wan_keeps(plain: Any) -> None:
    assert plain._keep_in_fp32_modules == WanTransformer3DModel._keep_in_fp32_modules
    kept = {name for name, value in lowered(small("tiny"), torch.bfloat16).named_parameters() if value.dtype == torch.float32}
    assert kept
    assert not any(name.startswith(NEW_PARAMETERS) for name in kept)


def test_times_of_frames_are_stock_wans_times_of_tokens(layout: str, dtype: torch.dtype) -> None:
    model = lowered(small(layout), dtype)
    given = inputs(model, dtype)
    expected = run_model(lowered(stock_of(model), dtype), **(given | {"timestep": frame_times().repeat_interleave(FRAME_TOKENS, dim=1)}))
    for extra in ({}, sounding(dtype)):
        assert_same(run_model(model, **(given | extra | {"timestep": frame_times()})), expected, dtype)


def test_equal_times_of_frames_are_one_time(anchor_model: Any, dtype: torch.dtype) -> None:
    given = inputs(anchor_model, dtype) | anchored(anchor_model, dtype=dtype)
    spread = given | {"timestep": given["timestep"][:, None].expand(-1, FRAMES)}
    assert_same(run_model(anchor_model, **spread), run_model(anchor_model, **given), dtype)


def test_names_of_new_parameters(plain: Any) -> None:
    stock = set(stock_of(plain).state_dict())
    new = set(plain.state_dict()) - stock
    assert stock < set(plain.state_dict())
    assert new
    assert all(name.startswith(NEW_PARAMETERS) for name in new)
    assert not any(name.startswith(NEW_PARAMETERS) for name in stock)


def test_a_tuple_or_an_output(plain: Any) -> None:
    [velocity] = plain(**inputs(plain), return_dict=False)
    assert torch.equal(velocity, plain(**inputs(plain)).sample)


# anchors


@torch.no_grad()
def by_hand(model: Any, video: Tensor, times: Tensor, given: dict[str, Any], anchors: Tensor, positions: Tensor, anchor_times: Tensor) -> Tensor:
    """Video and anchors as one sequence through the stock model's own blocks, each token with its own time and its own row of (B, L, 6, D)."""
    stock = stock_of(model)
    (batch, _, frames, height, width), size = video.shape, anchors.shape[3:]
    pieces = [stock.patch_embedding(latents).flatten(2).transpose(1, 2) for latents in (video, anchors)]
    tokens = torch.cat(pieces, dim=1)
    token_times = torch.cat([times.repeat_interleave(pieces[0].shape[1] // frames, 1), anchor_times[:, None].expand(-1, pieces[1].shape[1])], dim=1)
    temb, modulation, text, picture = stock.condition_embedder(
        token_times.flatten(), given["encoder_hidden_states"], given.get("encoder_hidden_states_image"), timestep_seq_len=tokens.shape[1]
    )
    context = text if picture is None else torch.cat([picture, text], dim=1)
    here, there = (stock.rope(video), rotary_tables(positions, size[0] // 2, size[1] // 2, HEAD_DIM))
    rotary = tuple(torch.cat([one.expand(batch, -1, -1, -1), other], dim=1) for one, other in zip(here, there, strict=True))
    for block in stock.blocks:
        tokens = block(tokens, context, modulation.unflatten(2, (6, -1)), rotary)
    own = pieces[0].shape[1]
    shift, scale = (stock.scale_shift_table[:, None] + temb[:, :own, None]).unbind(2)
    patches = stock.proj_out(stock.norm_out(tokens[:, :own]) * (1 + scale) + shift)
    return torch.einsum("bfhwyxc->bcfhywx", patches.view(batch, frames, height // 2, width // 2, 2, 2, -1)).reshape(batch, -1, frames, height, width)


@pytest.mark.parametrize("anchor_timestep", ["zero", "video"])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (2, 8)])
def test_anchors_are_tokens_of_the_same_sequence(layout: str, anchor_timestep: str, size: tuple[int, int]) -> None:
    model = sharpened(small(layout, anchor_timestep=anchor_timestep))
    given, extra = inputs(model), anchored(model, size=size)
    extra["anchor_positions"][1] = torch.tensor([-3.0, 54.25, 1.5])  # anywhere, each sample its own
    for times in (given["timestep"], frame_times()):
        everywhere = times if times.ndim == 2 else times[:, None].expand(-1, FRAMES)
        anchor_times = everywhere.amax(1) if anchor_timestep == "video" else torch.zeros(BATCH)
        expected = by_hand(model, given["hidden_states"], everywhere, given, extra["anchors"], extra["anchor_positions"], anchor_times)
        assert gap(run_model(model, **(given | extra | {"timestep": times})), expected) < CLOSE


def test_order_does_not_matter_but_positions_do(anchor_model: Any, dtype: torch.dtype) -> None:
    given, extra, order = inputs(anchor_model, dtype), anchored(anchor_model, dtype=dtype), [2, 0, 1]
    before = run_model(anchor_model, **given, **extra)
    permuted = {"anchors": extra["anchors"][:, :, order], "anchor_positions": extra["anchor_positions"][:, order]}
    assert_same(run_model(anchor_model, **given, **permuted), before, dtype)
    swapped = run_model(anchor_model, **given, **(extra | {"anchors": permuted["anchors"]}))
    assert relative_gap(swapped, before) > 0.1
    assert relative_gap(run_model(anchor_model, **given), before) > 0.05


def test_padding_is_absence_whatever_it_holds(anchor_model: Any, dtype: torch.dtype) -> None:
    given, extra = inputs(anchor_model, dtype) | sounding(dtype), anchored(anchor_model, dtype=dtype)
    junk, mask = extra["anchors"].clone(), torch.tensor([[True, False, True]] * BATCH)
    junk[:, :, 1] = 1e3 * drawn(*junk[:, :, 1].shape, seed=7).clamp(-1, 1)
    padded = run_model(anchor_model, **given, anchors=junk, anchor_positions=extra["anchor_positions"], anchor_mask=mask)
    without = run_model(anchor_model, **given, anchors=extra["anchors"][:, :, ::2], anchor_positions=extra["anchor_positions"][:, ::2])
    assert_same(padded, without, dtype)
    nobody = run_model(anchor_model, **given, **extra, anchor_mask=torch.zeros(BATCH, 3, dtype=torch.bool))
    assert_same(nobody, run_model(anchor_model, **given), dtype)
    everybody = run_model(anchor_model, **given, **extra, anchor_mask=torch.ones(BATCH, 3, dtype=torch.bool))
    assert_same(everybody, run_model(anchor_model, **given, **extra), dtype)


def test_a_batch_of_mixed_anchor_sets_is_its_samples(anchor_model: Any, dtype: torch.dtype) -> None:
    sets = [[32.0, 50.0, 68.0], [54.25], []]
    given = {name: torch.cat([value, value[:1] * 0.5]) for name, value in (inputs(anchor_model, dtype) | sounding(dtype)).items()}
    anchors = drawn(3, anchor_model.config.in_channels, 3, HEIGHT, WIDTH, seed=8).to(dtype)
    positions = torch.tensor([places + [1e3] * (3 - len(places)) for places in sets], dtype=torch.float64)
    mask = torch.arange(3) < torch.tensor([[len(places)] for places in sets])
    together = run_model(anchor_model, **given, anchors=anchors, anchor_positions=positions, anchor_mask=mask)
    for index, places in enumerate(sets):
        one = slice(index, index + 1)
        own = {"anchors": anchors[one, :, : len(places)], "anchor_positions": positions[one, : len(places)]}
        assert_same(together[one], run_model(anchor_model, **{name: value[one] for name, value in given.items()}, **own), dtype)


def test_fractional_and_negative_positions_are_places_of_their_own(plain: Any) -> None:
    given, extra = inputs(plain), anchored(plain, 1)
    outputs = []
    for place in (-40.0, -0.5, 31.5, 32.0, 32.25, 54.0):
        outputs.append(run_model(plain, **given, anchors=extra["anchors"], anchor_positions=torch.full((BATCH, 1), place, dtype=torch.float64)))
        assert bool(outputs[-1].isfinite().all())
    assert min(relative_gap(one, other) for one in outputs for other in outputs if one is not other) > 0.01


def test_the_time_of_anchors_is_a_choice() -> None:
    zero, video = (sharpened(small("wan2_1_t2v_1_3b", anchor_timestep=choice)) for choice in ("zero", "video"))
    given, extra = inputs(zero), anchored(zero)
    assert relative_gap(run_model(zero, **given, **extra), run_model(video, **given, **extra)) > 0.01
    given["timestep"] = torch.zeros(BATCH)
    assert torch.equal(run_model(zero, **given, **extra), run_model(video, **given, **extra))


def test_gradient_checkpointing_changes_nothing(layout: str) -> None:
    model = sharpened(heard(small(layout)))
    extra = anchored(model) | sounding() | {"anchor_mask": torch.tensor([[True] * 3, [True, False, False]]), "audio_mask": torch.tensor([True, False])}
    given = inputs(model) | extra | {"timestep": frame_times()}
    output, expected = gradients(model, given)
    model.enable_gradient_checkpointing()
    again, found = gradients(model, given)
    assert torch.equal(again, output)
    assert all(gradient is not None and bool(gradient.any()) for gradient in expected.values())
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []  # type: ignore[arg-type]


class Largest(TorchDispatchMode):
    """The largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers, self.shape, self.operation = 0, torch.Size(), ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, Tensor) and tensor.numel() > self.numbers:
                self.numbers, self.shape, self.operation = tensor.numel(), tensor.shape, str(func)
        return made


def test_no_tensor_has_six_rows_for_each_token(plain: Any) -> None:
    times = 4  # as many samples, so that what the tokens need is more than the weights
    given = inputs(plain) | anchored(plain) | sounding() | {"timestep": frame_times(), "anchor_mask": torch.ones(BATCH, 3, dtype=torch.bool)}
    given = {name: torch.cat([value] * times) for name, value in given.items()}
    batch, video, anchors = times * BATCH, FRAMES * FRAME_TOKENS, 3 * FRAME_TOKENS
    with Largest() as largest:
        plain(**given).sample.sum().backward()
    assert largest.numbers <= batch * (video + anchors) * 2 * DIM, (largest.operation, largest.shape)
    stock = {name: given[name] for name in inputs(plain)} | {"timestep": given["timestep"].repeat_interleave(FRAME_TOKENS, dim=1)}
    with Largest() as seen:
        stock_of(plain)(**stock)
    assert seen.numbers == batch * video * 6 * DIM  # the measure sees it where it is made


# audio


def test_a_frame_hears_its_own_window_first(plain: Any) -> None:
    """With the last block listening, nothing carries what one frame hears to another."""
    model = heard(small("wan2_1_t2v_1_3b", audio_layers=(1,)))
    given, sound = inputs(model) | anchored(model), sounding()["audio"]
    changed = sound.clone()
    changed[0, 1] += 1
    differs = (run_model(model, **given, audio=sound) != run_model(model, **given, audio=changed)).any(dim=(1, 3, 4))
    assert differs.tolist() == [[False, True, False], [False, False, False]]
    earlier = run_model(plain, **given, audio=sound) != run_model(plain, **given, audio=changed)
    assert earlier[0].any(dim=(0, 2, 3)).all()
    assert not earlier[1].any()


def test_samples_without_audio_are_silent(plain: Any) -> None:
    given, sound = inputs(plain) | anchored(plain), sounding()
    heard_by_first = run_model(plain, **given, **sound, audio_mask=torch.tensor([True, False]))
    assert torch.equal(heard_by_first[0], run_model(plain, **given, **sound)[0])
    assert torch.equal(heard_by_first[1], run_model(plain, **given)[1])
    assert relative_gap(run_model(plain, **given, **sound), run_model(plain, **given)) > 0.01


class Onlooker:
    """Keeps the keys that each block compares with."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []

    def observe(self, block: int, query: Tensor, key: Tensor, key_mask: Tensor | None) -> None:
        assert block == len(self.keys)
        assert query.shape[2:] == key.shape[2:] == (HEADS, HEAD_DIM)
        assert key_mask is None
        self.keys.append(key)


def test_anchors_hear_nothing(plain: Any) -> None:
    """After the first block listened, the video's tokens are others; the anchors' are the same."""
    deaf, hearing = Onlooker(), Onlooker()
    given = inputs(plain) | anchored(plain)
    run_model(plain, **given, observer=deaf)
    run_model(plain, **given, **sounding(), observer=hearing)
    video = FRAMES * FRAME_TOKENS
    assert len(deaf.keys) == len(hearing.keys) == 2
    assert torch.equal(deaf.keys[1][:, video:], hearing.keys[1][:, video:])
    assert not torch.equal(deaf.keys[1][:, :video], hearing.keys[1][:, :video])


def test_layers_that_listen_are_named_by_index() -> None:
    model = small("tiny", num_layers=4, audio_layers=(1, 3))
    assert list(model.audio_attention) == ["1", "3"]
    assert not [name for name, _ in small("tiny", audio_dim=None).named_parameters() if name.startswith(NEW_PARAMETERS)]


# anchors that were computed before


CACHE_CASES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "anchors": lambda model: anchored(model),
    "of another size": lambda model: anchored(model, size=(2, 8)),
    "padded": lambda model: anchored(model) | {"anchor_mask": torch.tensor([[True, True, False], [False, True, False]])},
    "one with none": lambda model: anchored(model) | {"anchor_mask": torch.tensor([[True, True, False], [False, False, False]])},
}


@pytest.mark.parametrize("case", CACHE_CASES)
@pytest.mark.parametrize("frame_wise", [False, True])
def test_in_one_block_a_cache_is_exact(layout: str, case: str, frame_wise: bool) -> None:
    """What anchors are before the first attention does not depend on the video, so nothing is approximated."""
    model = sharpened(heard(small(layout, num_layers=1, audio_layers=(0,))))
    given, extra = inputs(model) | sounding(), CACHE_CASES[case](model)
    given |= {"timestep": frame_times()} if frame_wise else {}
    full = run_model(model, **given, **extra)
    assert gap(run_model(model, **given, anchor_cache=cached(model, given, extra)), full) < CLOSE


@contextmanager
def anchors_look_away(model: Any) -> Iterator[None]:
    """Anchors attend to anchors alone: the computation that a cache stands for, done densely with a mask for every pair of tokens."""
    video = FRAMES * FRAME_TOKENS

    class Blinkered(AnchorAttnProcessor):
        def __call__(
            self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, attention_mask: Tensor | None = None, *args: Any, **other: Any
        ) -> Tensor:
            index = torch.arange(hidden_states.shape[1])
            pairs = (index[:, None] < video) | (index[None] >= video)
            mask = pairs if attention_mask is None else pairs & attention_mask
            return super().__call__(attn, hidden_states, encoder_hidden_states, mask, *args, **other)

    kept = [block.attn1.processor for block in model.blocks]
    try:
        for block in model.blocks:
            block.attn1.set_processor(Blinkered())
        yield
    finally:
        for block, processor in zip(model.blocks, kept, strict=True):
            block.attn1.set_processor(processor)


@pytest.mark.parametrize("case", ["anchors", "of another size", "padded"])
def test_in_several_blocks_a_cache_is_anchors_that_do_not_see_the_video(layout: str, case: str) -> None:
    model = sharpened(heard(small(layout)))
    given, extra = inputs(model) | sounding() | {"timestep": frame_times()}, CACHE_CASES[case](model)
    found = run_model(model, **given, anchor_cache=cached(model, given, extra))
    with anchors_look_away(model):
        assert gap(found, run_model(model, **given, **extra)) < CLOSE
    assert gap(found, run_model(model, **given, **extra)) > 10 * CLOSE
    assert relative_gap(found, run_model(model, **given, **extra)) < relative_gap(run_model(model, **given), run_model(model, **given, **extra))


def test_one_cache_serves_every_step_and_every_video(plain: Any) -> None:
    given, extra = inputs(plain), anchored(plain)
    kept = cached(plain, given, extra)
    for step, time in enumerate((950.0, 500.0, 20.0)):
        now = given | {"timestep": torch.full((BATCH,), time), "hidden_states": drawn(BATCH, 16, step + 2, HEIGHT, WIDTH, seed=step)}
        assert torch.equal(run_model(plain, **now, anchor_cache=kept), run_model(plain, **now, anchor_cache=cached(plain, now, extra)))


def test_a_sample_without_anchors_in_a_cache_is_one_without(plain: Any) -> None:
    given, extra = inputs(plain), CACHE_CASES["one with none"](plain)
    extra["anchors"][1] *= 1e3
    found = run_model(plain, **given, anchor_cache=cached(plain, given, extra))
    assert gap(found[1:], run_model(plain, **{name: value[1:] for name, value in given.items()})) < CLOSE


def test_what_a_cache_holds(plain: Any) -> None:
    kept = cached(plain, inputs(plain), CACHE_CASES["padded"](plain))
    pair: KeyValue
    for pair in kept.blocks:
        assert pair[0].shape == pair[1].shape == (BATCH, 3 * FRAME_TOKENS, HEADS, HEAD_DIM)
    assert len(kept.blocks) == 2
    assert kept.mask.tolist() == [[True] * 12 + [False] * 6, [False] * 6 + [True] * 6 + [False] * 6]
    assert cached(plain, inputs(plain), anchored(plain)).mask is None


# what cannot be


def test_anchors_at_the_videos_time_cannot_be_cached() -> None:
    model = small("tiny", anchor_timestep="video")
    with pytest.raises(ModelInputError, match="anchors at timestep 'video' change in every step and cannot be cached; only 'zero' can"):
        cached(model, inputs(model), anchored(model))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"audio_layers": (0, 2)}, r"audio layers \[2\] do not exist; the network's blocks are 0 to 1"),
        ({"audio_layers": (-1,)}, r"audio layers \[-1\] do not exist"),
        ({"anchor_timestep": "noise"}, "anchor_timestep is one of zero, video, not 'noise'"),
        ({"patch_size": (2, 2, 2)}, "patches of 2 latent frames"),
        ({"anchor_positions": {"first": 3.0}}, "would both stand at"),
    ],
)
def test_networks_that_cannot_be_built_are_told(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelInputError, match=message):
        small("tiny", **wrong)


def test_positions_of_anchors_are_kept_in_the_configuration(tmp_path: Path) -> None:
    model = small("tiny", anchor_positions={"first": 40.0, "longest_chunk": 40})
    assert model.anchor_positions == AnchorPositions(first=40.0, longest_chunk=40)
    model.save_config(tmp_path)
    again = AnchorWanTransformer3DModel.from_config(AnchorWanTransformer3DModel.load_config(tmp_path))
    assert again.anchor_positions == model.anchor_positions
    assert {name: value.shape for name, value in again.state_dict().items()} == {name: value.shape for name, value in model.state_dict().items()}
