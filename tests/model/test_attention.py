"""Self-attention against the stock processor, and against a softmax written out."""

from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor, WanRotaryPosEmbed
from torch import Tensor

from model.attention import AnchorAttnProcessor, KeyValue, rotate
from model.rope import rotary_tables

BATCH, TOKENS, HEADS, HEAD_DIM = 2, 6, 2, 12
DIM = HEADS * HEAD_DIM


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tables(*places: float) -> tuple[Tensor, Tensor]:
    return rotary_tables(torch.tensor([places], dtype=torch.float64).expand(BATCH, -1), 1, 1, HEAD_DIM)


@pytest.fixture(scope="module")
def layer() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = WanAttention(DIM, HEADS, HEAD_DIM, 1e-6, processor=AnchorAttnProcessor())
        for norm in (layer.norm_q, layer.norm_k):
            torch.nn.init.normal_(norm.weight, 1.0, 0.2)
    return layer.requires_grad_(False)


def stock(layer: Any, *args: Any) -> Tensor:
    return WanAttnProcessor()(layer, *args)


def plain(layer: Any, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention by its formula, for (B, L, heads, head_dim)."""
    scores = torch.einsum("bqhd,bkhd->bhqk", queries, keys) / HEAD_DIM**0.5
    weights = (scores if mask is None else scores.masked_fill(~mask, float("-inf"))).softmax(dim=-1)
    return layer.to_out[0](torch.einsum("bhqk,bkhd->bqhd", weights, values).flatten(2))


def key_values(layer: Any, tokens: Tensor, rotary: tuple[Tensor, Tensor]) -> KeyValue:
    kept: list[KeyValue] = []
    layer(tokens, rotary_emb=rotary, kept=kept)
    return kept[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("masked", [False, True])
def test_alone_it_is_the_stock_processor_to_the_bit(layer: Any, dtype: torch.dtype, masked: bool) -> None:
    layer = layer.to(dtype)
    rotary = WanRotaryPosEmbed(HEAD_DIM, (1, 2, 2), 16)(torch.empty(1, 1, TOKENS, 2, 2))
    mask = (torch.arange(TOKENS) < torch.tensor([[4], [6]]))[:, None, None] if masked else None
    tokens = drawn(BATCH, TOKENS, DIM).to(dtype)
    try:
        assert torch.equal(layer(tokens, None, mask, rotary), stock(layer, tokens, None, mask, rotary))
        assert torch.equal(layer(tokens), stock(layer, tokens))
    finally:
        layer.float()


def test_fused_projections_are_the_same_attention() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = WanAttention(DIM, HEADS, HEAD_DIM, 1e-6, processor=AnchorAttnProcessor())
    tokens, rotary = drawn(BATCH, TOKENS, DIM), tables(*range(TOKENS))
    apart = layer(tokens, rotary_emb=rotary)
    layer.fuse_projections()
    torch.testing.assert_close(layer(tokens, rotary_emb=rotary), apart, rtol=0, atol=1e-6)


def test_cached_tokens_are_attended_to_but_do_not_attend(layer: Any) -> None:
    tokens, more = drawn(BATCH, TOKENS, DIM), drawn(BATCH, 3, DIM, seed=1)
    here, there = tables(*range(TOKENS)), tables(40.0, 41.5, -3.0)
    everything = layer(torch.cat([tokens, more], dim=1), rotary_emb=tuple(torch.cat(both, dim=1) for both in zip(here, there, strict=True)))
    cached = layer(tokens, rotary_emb=here, cached=key_values(layer, more, there))
    assert cached.shape == tokens.shape
    torch.testing.assert_close(cached, everything[:, :TOKENS], rtol=0, atol=1e-6)
    assert float((cached - layer(tokens, rotary_emb=here)).abs().max()) > 1e-3


def test_a_cache_in_another_precision_is_taken_in_the_tokens(layer: Any) -> None:
    tokens, rotary = drawn(BATCH, TOKENS, DIM), tables(*range(TOKENS))
    key, value = key_values(layer, drawn(BATCH, 3, DIM, seed=1), tables(40.0, 41.0, 42.0))
    found = layer(tokens, rotary_emb=rotary, cached=(key.double(), value.double()))
    assert found.dtype == torch.float32
    assert torch.equal(found, layer(tokens, rotary_emb=rotary, cached=(key, value)))


def test_a_mask_hides_own_and_cached_keys_alike(layer: Any) -> None:
    tokens, rotary = drawn(BATCH, TOKENS, DIM), tables(*range(TOKENS))
    key, value = key_values(layer, drawn(BATCH, 3, DIM, seed=1), tables(40.0, 41.0, 42.0))
    mask = torch.ones(BATCH, 1, 1, TOKENS + 3, dtype=torch.bool)
    mask[..., TOKENS + 1 :] = False
    hidden = layer(tokens, None, mask, rotary, cached=(key, value))
    torch.testing.assert_close(hidden, layer(tokens, rotary_emb=rotary, cached=(key[:, :1], value[:, :1])), rtol=0, atol=1e-6)


class Onlooker:
    def __init__(self) -> None:
        self.seen: list[tuple[int, Tensor, Tensor, Tensor | None]] = []

    def observe(self, block: int, query: Tensor, key: Tensor, key_mask: Tensor | None) -> None:
        self.seen.append((block, query, key, key_mask))


def test_an_observer_sees_what_is_compared_and_changes_nothing(layer: Any) -> None:
    tokens, rotary = drawn(BATCH, TOKENS, DIM), tables(*range(TOKENS))
    cached = key_values(layer, drawn(BATCH, 3, DIM, seed=1), tables(40.0, 41.0, 42.0))
    mask = torch.ones(BATCH, 1, 1, TOKENS + 3, dtype=torch.bool)
    mask[1, ..., -1] = False
    onlooker, kept = Onlooker(), list[KeyValue]()
    watched = layer(tokens, None, mask, rotary, cached=cached, kept=kept, observer=onlooker, block=7)
    assert torch.equal(watched, layer(tokens, None, mask, rotary, cached=cached))
    [(block, query, key, key_mask)] = onlooker.seen
    assert block == 7
    assert key_mask is mask
    assert torch.equal(key, torch.cat([kept[0][0], cached[0]], dim=1))
    torch.testing.assert_close(watched, plain(layer, query, key, torch.cat([kept[0][1], cached[1]], dim=1), mask), rtol=0, atol=1e-6)


def test_what_is_kept_are_turned_keys_and_values_as_they_are(layer: Any) -> None:
    tokens, rotary = drawn(BATCH, TOKENS, DIM), tables(*range(TOKENS))
    key, value = key_values(layer, tokens, rotary)
    assert key.shape == value.shape == (BATCH, TOKENS, HEADS, HEAD_DIM)
    assert torch.equal(value, layer.to_v(tokens).unflatten(2, (HEADS, -1)))
    flat = layer.to_k(tokens)
    normed = flat * (flat.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * layer.norm_k.weight
    torch.testing.assert_close(key, rotate(normed.unflatten(2, (HEADS, -1)), *rotary), rtol=0, atol=1e-6)


def test_turning_is_multiplication_by_a_complex_number() -> None:
    tokens, angles = drawn(BATCH, TOKENS, HEADS, HEAD_DIM), drawn(BATCH, TOKENS, 1, HEAD_DIM // 2, seed=1)
    doubled = angles.repeat_interleave(2, dim=-1)
    turned = torch.view_as_complex(tokens.unflatten(-1, (-1, 2))) * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(rotate(tokens, doubled.cos(), doubled.sin()), torch.view_as_real(turned).flatten(-2), rtol=0, atol=1e-6)
    assert rotate(tokens.bfloat16(), doubled.cos(), doubled.sin()).dtype == torch.bfloat16
