from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.errors import ModelInputError
from model.flops import FlopCount, forward_flops
from model.transformer import AnchorWanTransformer3DModel

TINY: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 5,
    "out_channels": 3,
    "text_dim": 7,
    "freq_dim": 16,
    "ffn_dim": 40,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}
PICTURE = TINY | {"image_dim": 10, "added_kv_proj_dim": 24}
PICTURE_AS_TEXT = TINY | {"image_dim": 10}
HEARING = TINY | {"audio_dim": 9, "audio_window": 5, "audio_layers": (1,)}
VIDEO = (3, 4, 6)


def counted(call: Callable[[], object]) -> int:
    """What PyTorch counts. It knows no fused attention on a CPU, so that is taken apart into its products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def inputs(config: dict[str, Any], batch: int, text_tokens: int) -> dict[str, Tensor]:
    frames, height, width = VIDEO
    return {
        "hidden_states": torch.zeros(batch, config["in_channels"], frames, height, width),
        "timestep": torch.zeros(batch),
        "encoder_hidden_states": torch.zeros(batch, text_tokens, config["text_dim"]),
    }


@pytest.mark.parametrize(("batch", "text_tokens"), [(1, 512), (3, 6)])
def test_the_stock_network_counts_the_same(batch: int, text_tokens: int) -> None:
    model = WanTransformer3DModel(**TINY)
    given = inputs(TINY, batch, text_tokens)
    assert forward_flops(TINY, VIDEO, text_tokens=text_tokens, batch=batch).total == counted(lambda: model(**given))
    assert forward_flops(model.config, VIDEO, text_tokens=text_tokens, batch=batch).total == counted(lambda: model(**given))


@pytest.mark.parametrize("config", [PICTURE, PICTURE_AS_TEXT])
def test_the_stock_network_with_a_picture_counts_the_same(config: dict[str, Any]) -> None:
    model = WanTransformer3DModel(**config)
    given = inputs(config, 2, 512) | {"encoder_hidden_states_image": torch.zeros(2, 11, 10)}
    assert forward_flops(config, VIDEO, image_tokens=11, batch=2).total == counted(lambda: model(**given))


@pytest.mark.parametrize("count", [0, 1, 4])
@pytest.mark.parametrize("anchor_size", [None, (2, 8)])
@pytest.mark.parametrize("frame_timesteps", [False, True])
def test_ours_with_anchors_counts_the_same(count: int, anchor_size: tuple[int, int] | None, frame_timesteps: bool) -> None:
    model = AnchorWanTransformer3DModel(**TINY)
    given = inputs(TINY, 2, 6) | {"anchors": torch.zeros(2, 5, count, *(anchor_size or VIDEO[1:]))}
    given["anchor_positions"] = torch.arange(count, dtype=torch.float64).expand(2, count) + 40
    given["anchor_mask"] = torch.ones(2, count, dtype=torch.bool)
    if frame_timesteps:
        given["timestep"] = torch.zeros(2, VIDEO[0])
    found = forward_flops(TINY, VIDEO, count, anchor_size, text_tokens=6, batch=2, frame_timesteps=frame_timesteps)
    assert found.total == counted(lambda: model(**given))


def test_ours_with_audio_counts_the_same() -> None:
    model = AnchorWanTransformer3DModel(**HEARING)
    given = inputs(HEARING, 2, 6) | {"audio": torch.zeros(2, VIDEO[0], 5, 9)}
    found = forward_flops(HEARING, VIDEO, text_tokens=6, audio_window=5, audio_layers=1, batch=2)
    assert found.total == counted(lambda: model(**given))
    assert found.audio == found.total - forward_flops(HEARING, VIDEO, text_tokens=6, batch=2).total


def test_cached_anchors_are_only_looked_at() -> None:
    model = AnchorWanTransformer3DModel(**TINY)
    given = inputs(TINY, 2, 6)
    anchors, positions = torch.zeros(2, 5, 3, *VIDEO[1:]), torch.arange(3.0).expand(2, 3) + 40
    cache = model.cache_anchors(anchors, positions, given["encoder_hidden_states"])
    found = forward_flops(TINY, VIDEO, 3, text_tokens=6, batch=2, anchors_cached=True)
    assert found.total == counted(lambda: model(**given, anchor_cache=cache))
    none = forward_flops(TINY, VIDEO, 0, text_tokens=6, batch=2)
    assert {field.name for field in fields(FlopCount) if getattr(found, field.name) != getattr(none, field.name)} == {"self_attention_scores"}


def test_anchors_cost_in_every_part_that_sees_them() -> None:
    none, some = forward_flops(TINY, VIDEO), forward_flops(TINY, VIDEO, anchors=3)
    grown = {field.name for field in fields(FlopCount) if getattr(some, field.name) > getattr(none, field.name)}
    assert grown == {"embeddings", "self_attention_projections", "self_attention_scores", "cross_attention", "feed_forward"}
    assert some.self_attention_scores == 4 * none.self_attention_scores  # three anchors are as many tokens as three frames
    assert some.feed_forward == 2 * none.feed_forward


def test_backward_is_twice_forward_but_for_inputs_that_need_no_gradient() -> None:
    config = TINY | {"num_layers": 8}
    model = WanTransformer3DModel(**config)
    given = inputs(config, 2, 64)
    count = forward_flops(config, VIDEO, text_tokens=64, batch=2)

    def train() -> None:
        torch.autograd.backward(model(**given, return_dict=False)[0].sum())

    assert count.training() == 3 * count.total == count.total + count.backward
    assert counted(train) == pytest.approx(count.training(), rel=0.01)
    model.enable_gradient_checkpointing()
    assert count.training(checkpointing=True) == 4 * count.total
    assert counted(train) == pytest.approx(count.training(checkpointing=True), rel=0.05)  # what stands outside the blocks goes forward once


@pytest.mark.parametrize("wrong", [{"video": (3, 5, 6)}, {"video": (0, 4, 6)}, {"video": VIDEO, "anchors": 1, "anchor_size": (4, 3)}])
def test_sizes_that_do_not_divide_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelInputError, match="not a multiple of the patch size"):
        forward_flops(TINY, **wrong)
