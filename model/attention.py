"""Self-attention over video and anchors: diffusers' Wan attention, with keys and values from a cache and somebody who may look on."""

from typing import Protocol

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch import Tensor

KeyValue = tuple[Tensor, Tensor]
"""Keys, already turned, and values of some tokens in one block: (B, L, heads, head_dim) each."""


class AttentionObserver(Protocol):
    """Sees what a self-attention is about to compare; see ``model.attention_record``."""

    def observe(self, block: int, query: Tensor, key: Tensor, key_mask: Tensor | None) -> None:
        """Called once per block and forward pass.

        Args:
            block: index of the block.
            query: (B, L, heads, head_dim), turned.
            key: (B, L', heads, head_dim), turned; tokens of the video, then of the anchors.
            key_mask: (B, 1, 1, L') bool, False for padding; None when nothing is padded.
        """


class AnchorAttnProcessor(WanAttnProcessor):
    """Full self-attention over every token, as in the stock block, to the bit; keys and values of anchors may come from a cache."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,  # noqa: ARG002, a self-attention has none
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
        cached: KeyValue | None = None,
        kept: list[KeyValue] | None = None,
        observer: AttentionObserver | None = None,
        block: int = 0,
    ) -> Tensor:
        """Attend.

        Args:
            attn: the layer.
            hidden_states: (B, L, D).
            encoder_hidden_states: None; this is a self-attention.
            attention_mask: (B, 1, 1, L') bool over the keys, or None.
            rotary_emb: cosines and sines of the L tokens.
            cached: keys and values of further tokens that are attended to but do not attend.
            kept: a list that gets the keys and values of the L tokens.
            observer: told what is compared.
            block: index of the block, for the observer.
        """
        query, key, value = self._project(attn, hidden_states, rotary_emb)
        if kept is not None:
            kept.append((key, value))
        if cached is not None:
            key, value = (torch.cat([own, more.to(own)], dim=1) for own, more in zip((key, value), cached, strict=True))
        if observer is not None:
            observer.observe(block, query, key, attention_mask)
        attended = dispatch_attention_fn(query, key, value, attn_mask=attention_mask, backend=self._attention_backend, parallel_config=self._parallel_config)
        return attn.to_out[1](attn.to_out[0](attended.flatten(2, 3).type_as(query)))

    @staticmethod
    def _project(attn: WanAttention, hidden_states: Tensor, rotary_emb: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        if attn.fused_projections:
            query, key, value = attn.to_qkv(hidden_states).chunk(3, dim=-1)
        else:
            query, key, value = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        query, key, value = (tokens.unflatten(2, (attn.heads, -1)) for tokens in (attn.norm_q(query), attn.norm_k(key), value))
        if rotary_emb is None:
            return query, key, value
        return rotate(query, *rotary_emb), rotate(key, *rotary_emb), value


def rotate(tokens: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn neighbouring channel pairs by their angles.

    Args:
        tokens: (B, L, heads, head_dim).
        cosines, sines: (B or 1, L, 1, head_dim); see ``model.rope``.
    """
    first, second = tokens.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = cosines[..., 0::2], sines[..., 1::2]
    turned = torch.empty_like(tokens)
    turned[..., 0::2] = first * cosine - second * sine
    turned[..., 1::2] = first * sine + second * cosine
    return turned.type_as(tokens)
