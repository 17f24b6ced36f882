"""The network: Wan's video diffusion transformer with content anchors and audio.

``AnchorWanTransformer3DModel`` is diffusers' WanTransformer3DModel (Wan, arXiv 2503.20314) whose self-attention also sees anchors: clean
latents of single frames, patchified like the video and told apart by their temporal positions alone (Gloria, arXiv 2603.29931, section 3;
``model.positions``). The parameters of the stock model keep their names, so that its checkpoints load; what is new is called ``audio_…``
and adds nothing until it is trained. Without anchors and audio the result is the stock model's to the bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, NamedTuple, get_args

import torch
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn

from model.attention import AnchorAttnProcessor, AttentionObserver, KeyValue
from model.audio.cross_attention import AudioAttention, AudioEmbedder
from model.errors import ModelInputError
from model.flops import FlopCount, forward_flops
from model.input_checks import check_audio, check_cached, check_conditions, check_video, checked_anchors
from model.modulation import Segment, gated, modulated
from model.positions import AnchorPositions
from model.rope import rotary_tables

AnchorTimestep = Literal["zero", "video"]

STOCK_ARGUMENTS = frozenset(WanTransformer3DModel.__init__.__wrapped__.__annotations__) - {"return"}
"""Names of what the stock model is built with."""

NEW_PARAMETERS = "audio_"
"""What the names of the parameters begin with that the stock model does not have."""


class AnchorCache(NamedTuple):
    """Keys and values of anchors in every block; see ``AnchorWanTransformer3DModel.cache_anchors``.

    Attributes:
        blocks: one pair per block.
        mask: (B, tokens) bool, False for padding; None when nothing is padded.
    """

    blocks: tuple[KeyValue, ...]
    mask: Tensor | None


class AnchorWanTransformerBlock(WanTransformerBlock):
    """A stock block that modulates by segment, so that no (B, L, 6, D) tensor is ever made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.attn1.set_processor(AnchorAttnProcessor())

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        temb: Tensor,
        rotary_emb: tuple[Tensor, Tensor],
        segments: Sequence[Segment],
        attention: Mapping[str, Any],
    ) -> Tensor:
        """One block.

        Args:
            hidden_states: (B, L, D), the tokens of all segments one after the other.
            encoder_hidden_states: (B, T, D), text (and picture) tokens.
            temb: (B, rows of all segments, 6, D).
            rotary_emb: see ``model.rope``.
            segments: how the rows fall on the tokens.
            attention: what AnchorAttnProcessor takes beside tokens and positions.
        """
        shift, scale, gate, feed_shift, feed_scale, feed_gate = (self.scale_shift_table.unsqueeze(0) + temb.float()).unbind(2)

        normed = modulated(self.norm1(hidden_states.float()), shift, scale, segments).type_as(hidden_states)
        attended = self.attn1(normed, None, attention.get("mask"), rotary_emb, **{name: value for name, value in attention.items() if name != "mask"})
        hidden_states = (hidden_states.float() + gated(attended, gate, segments)).type_as(hidden_states)

        normed = self.norm2(hidden_states.float()).type_as(hidden_states)
        hidden_states = hidden_states + self.attn2(normed, encoder_hidden_states, None, None)

        normed = modulated(self.norm3(hidden_states.float()), feed_shift, feed_scale, segments).type_as(hidden_states)
        return (hidden_states.float() + gated(self.ffn(normed).float(), feed_gate, segments)).type_as(hidden_states)


class AnchorWanTransformer3DModel(WanTransformer3DModel):
    """Wan with anchors and audio. Takes what the stock model takes, and more; see ``forward``."""

    _no_split_modules = ("AnchorWanTransformerBlock",)
    _repeated_blocks = ("AnchorWanTransformerBlock",)
    _cp_plan = None

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 13824,
        num_layers: int = 40,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        anchor_positions: Mapping[str, float] | None = None,
        anchor_timestep: AnchorTimestep = "zero",
        audio_dim: int | None = None,
        audio_window: int = 25,
        audio_layers: Sequence[int] = (),
    ) -> None:
        """Build the network with random weights.

        Args:
            patch_size, num_attention_heads, attention_head_dim, in_channels, out_channels, text_dim, freq_dim, ffn_dim, num_layers,
                cross_attn_norm, qk_norm, eps, image_dim, added_kv_proj_dim, rope_max_seq_len, pos_embed_seq_len: as in the stock model.
            anchor_positions: fields of AnchorPositions; None for its defaults.
            anchor_timestep: the time at which anchors are modulated: ``zero``, because they are clean, or the video's.
            audio_dim: size of an audio vector; None for a network that hears nothing.
            audio_window: audio vectors per latent frame.
            audio_layers: indices of the blocks after which the video listens.

        Raises:
            ModelInputError: an audio layer or a kind of anchor timestep that does not exist, patches of several frames, or anchor positions that overlap.
        """
        if patch_size[0] != 1:
            raise ModelInputError(f"patches of {patch_size[0]} latent frames leave a frame no time of its own; patch_size must begin with 1")
        if anchor_timestep not in get_args(AnchorTimestep):
            raise ModelInputError(f"anchor_timestep is one of {', '.join(get_args(AnchorTimestep))}, not {anchor_timestep!r}")
        stock = {name: value for name, value in locals().items() if name in STOCK_ARGUMENTS}
        super().__init__(**{**stock, "num_layers": 0})
        self.register_to_config(num_layers=num_layers, anchor_positions=asdict(AnchorPositions(**(anchor_positions or {}))))  # type: ignore[arg-type]
        dim = num_attention_heads * attention_head_dim
        self.rope = nn.Identity()  # the stock tables end where anchors begin
        self.blocks = nn.ModuleList(
            [AnchorWanTransformerBlock(dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim) for _ in range(num_layers)]
        )
        if wrong := [index for index in audio_layers if not 0 <= index < num_layers]:
            raise ModelInputError(f"audio layers {wrong} do not exist; the network's blocks are 0 to {num_layers - 1}")
        self.build_audio()

    def build_audio(self) -> None:
        """Make everything that listens anew, with no effect yet: the parts that a stock checkpoint lacks."""
        config = self.config
        if config.audio_dim is None:
            return
        dim = config.num_attention_heads * config.attention_head_dim
        self.audio_embedder = AudioEmbedder(config.audio_dim, dim, config.audio_window)
        layers = {str(index): AudioAttention(dim, config.num_attention_heads, config.eps) for index in config.audio_layers}
        self.audio_attention = nn.ModuleDict(layers)

    @property
    def anchor_positions(self) -> AnchorPositions:
        """Where this network's anchors stand."""
        return AnchorPositions(**self.config.anchor_positions)

    def flops(self, video: tuple[int, int, int], anchors: int = 0, hears: bool = False, **other: Any) -> FlopCount:
        """Floating-point operations of a forward pass, by part; ``.training()`` of it are those of a training step.

        Args:
            video: latent frames, height, width.
            anchors: how many.
            hears: with audio.
            other: further arguments of ``model.flops.forward_flops``, such as anchor_size, text_tokens, batch.
        """
        heard = {"audio_window": self.config.audio_window, "audio_layers": len(self.config.audio_layers)} if hears else {}
        return forward_flops(self.config, video, anchors, **heard, **other)

    @apply_lora_scale("attention_kwargs")
    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,  # noqa: ARG002  read by the decorator
        anchors: Tensor | None = None,
        anchor_positions: Tensor | None = None,
        anchor_mask: Tensor | None = None,
        audio: Tensor | None = None,
        audio_mask: Tensor | None = None,
        anchor_cache: AnchorCache | None = None,
        observer: AttentionObserver | None = None,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """The velocity of the video's latents.

        Args:
            hidden_states: (B, C, F, H, W) latents of the video, with whatever further channels the layout has (``model.layout``).
            timestep: (B,), or (B, F) one for each latent frame, 0 (clean) to 1000 (noise); also (B, tokens), as diffusers' pipelines tell a given frame, which
                modulates token by token as in the stock model and takes its memory.
            encoder_hidden_states: (B, T, text_dim).
            encoder_hidden_states_image: (B, P, image_dim), where the network looks at a picture (image-to-video of Wan 2.1).
            return_dict: an output object instead of a tuple.
            attention_kwargs: as in the stock model: ``scale`` in it is that of LoRA layers.
            anchors: (B, C, K, h, w) clean latents of K anchors, in the layout's channels; their size may differ from the video's.
            anchor_positions: (B, K) temporal positions (``AnchorPositions.of``).
            anchor_mask: (B, K) bool, False for anchors that are padding; None when none is.
            audio: (B, F, audio_window, audio_dim), the window of each latent frame (``model.audio.windows``).
            audio_mask: (B,) bool, False for samples without audio.
            anchor_cache: keys and values of the anchors instead of the anchors themselves: faster, and they do not see the video.
            observer: told what every self-attention compares.

        Returns:
            (B, out_channels, F, H, W).

        Raises:
            ModelInputError: something does not fit the network or the video.
        """
        check_video(self.config, hidden_states, timestep)
        batch, _, frames, height, width = hidden_states.shape
        check_conditions(self.config, encoder_hidden_states, encoder_hidden_states_image, batch)
        check_audio(self.config, audio, audio_mask, batch, frames)
        tokens = self._patchified(hidden_states)
        video = Segment(tokens.shape[1], 1 if timestep.ndim == 1 else timestep.shape[1])
        rotary = self._rotary(torch.arange(frames, dtype=torch.float64, device=tokens.device).expand(batch, -1), height, width)
        segments, rows, mask = [video], [timestep.reshape(batch, -1)], None

        if anchor_cache is not None:
            if anchors is not None:
                raise ModelInputError("give anchors or their cache, not both")
            check_cached(self.config, anchor_cache.blocks, batch, frames)
            mask = anchor_cache.mask
        elif anchors is not None and (anchors.ndim != 5 or anchors.shape[2]):
            positions, mask = checked_anchors(self.config, anchors, anchor_positions, anchor_mask, batch, frames)
            anchor_tokens = self._patchified(anchors)
            segments.append(Segment(anchor_tokens.shape[1], 1))
            rows.append(self._anchor_rows(timestep))
            rotary = _joined(rotary, self._rotary(positions, *anchors.shape[3:]))
            tokens = torch.cat([tokens, anchor_tokens], dim=1)
            mask = None if mask is None else mask.repeat_interleave(anchor_tokens.shape[1] // anchors.shape[2], dim=1)

        temb, modulation, context = self._conditions(rows, encoder_hidden_states, encoder_hidden_states_image)
        key_mask = None if mask is None else torch.cat([mask.new_ones(batch, video.tokens), mask], dim=1)[:, None, None]
        heard = None if audio is None else self.audio_embedder(audio)
        for index, block in enumerate(self.blocks):
            attention = {"mask": key_mask, "observer": observer, "block": index, "cached": None if anchor_cache is None else anchor_cache.blocks[index]}
            tokens = self._checkpointed(block, tokens, context, modulation, rotary, tuple(segments), attention)
            if heard is not None and str(index) in self.audio_attention:
                added = self._checkpointed(self.audio_attention[str(index)], tokens[:, : video.tokens], heard, audio_mask)
                tokens = torch.cat([tokens[:, : video.tokens] + added, tokens[:, video.tokens :]], dim=1) if len(segments) > 1 else tokens + added

        velocity = self._unpatchified(tokens[:, : video.tokens], temb[:, : video.rows], video, (frames, height, width))
        return Transformer2DModelOutput(sample=velocity) if return_dict else (velocity,)

    def cache_anchors(
        self,
        anchors: Tensor,
        anchor_positions: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        anchor_mask: Tensor | None = None,
    ) -> AnchorCache:
        """Keys and values of the anchors in every block, to be used in every step of every chunk that has the same text.

        The anchors see one another and the text, but not the video, and stand at timestep 0: an approximation of ``forward`` with anchors. Arguments as there.

        Raises:
            ModelInputError: the anchors do not fit, or the network modulates them at the video's timestep, which changes from step to step.
        """
        if self.config.anchor_timestep != "zero":
            raise ModelInputError(f"anchors at timestep {self.config.anchor_timestep!r} change in every step and cannot be cached; only 'zero' can")
        if anchors.ndim == 5 and not anchors.shape[2]:
            raise ModelInputError("there are no anchors to cache; run without a cache")
        positions, mask = checked_anchors(self.config, anchors, anchor_positions, anchor_mask, anchors.shape[0], 0)
        batch, count = positions.shape
        check_conditions(self.config, encoder_hidden_states, encoder_hidden_states_image, batch)
        tokens = self._patchified(anchors)
        rotary = self._rotary(positions, *anchors.shape[3:])
        _, modulation, context = self._conditions([anchors.new_zeros(batch, 1)], encoder_hidden_states, encoder_hidden_states_image)
        mask = None if mask is None else mask.repeat_interleave(tokens.shape[1] // count, dim=1)
        kept: list[KeyValue] = []
        segments = (Segment(tokens.shape[1], 1),)
        # a sample all of whose anchors are padding would compare with nothing; its tokens are never attended to, so let them see one another
        seen = None if mask is None else (mask | ~mask.any(1, keepdim=True))[:, None, None]
        for block in self.blocks:
            tokens = block(tokens, context, modulation, rotary, segments, {"mask": seen, "kept": kept})
        return AnchorCache(tuple(kept), mask)

    def _patchified(self, latents: Tensor) -> Tensor:
        return self.patch_embedding(latents).flatten(2).transpose(1, 2).contiguous()

    def _unpatchified(self, tokens: Tensor, temb: Tensor, video: Segment, size: tuple[int, int, int]) -> Tensor:
        shift, scale = (self.scale_shift_table.unsqueeze(0) + temb.unsqueeze(2)).unbind(2)
        patches = self.proj_out(modulated(self.norm_out(tokens.float()), shift, scale, [video]).type_as(tokens))
        patch = self.config.patch_size
        patches = patches.unflatten(1, [length // step for length, step in zip(size, patch, strict=True)]).unflatten(-1, (*patch, -1))
        return patches.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def _rotary(self, positions: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        _, down, across = self.config.patch_size
        return rotary_tables(positions, height // down, width // across, self.config.attention_head_dim)

    def _anchor_rows(self, timestep: Tensor) -> Tensor:
        """(B, 1): when anchors are. Where frames have times of their own, the video's is the noisiest."""
        rows = timestep.reshape(timestep.shape[0], -1).amax(1, keepdim=True)
        return rows if self.config.anchor_timestep == "video" else torch.zeros_like(rows)

    def _conditions(self, rows: Sequence[Tensor], text: Tensor, picture: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Time (B, rows, D), its modulation (B, rows, 6, D) and the tokens of text and picture (B, T, D)."""
        times = torch.cat(list(rows), dim=1)
        several = times.shape[1] > 1
        temb, modulation, text, picture = self.condition_embedder(times.flatten(), text, picture, timestep_seq_len=times.shape[1] if several else None)
        if not several:
            temb, modulation = temb.unsqueeze(1), modulation.unsqueeze(1)
        return temb, modulation.unflatten(2, (6, -1)), text if picture is None else torch.cat([picture, text], dim=1)

    def _checkpointed(self, module: nn.Module, *args: Any) -> Tensor:
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(module, *args)
        return module(*args)


def _joined(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat([first[0], second[0]], dim=1), torch.cat([first[1], second[1]], dim=1)
