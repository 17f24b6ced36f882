"""How many floating-point operations a forward pass takes: those of its matrix products, a multiplication with its addition counted as two.

Norms, positions, activations and sums are left out, as everywhere. What an anchor costs can be read off: its tokens go through
every block like the video's, and every token compares itself with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import prod
from typing import Any

from model.errors import ModelInputError


@dataclass(frozen=True, slots=True)
class FlopCount:
    """Floating-point operations of one forward pass, by part.

    Attributes:
        embeddings: patches of video and anchors, timesteps, text and picture.
        self_attention_projections: queries, keys, values and outputs.
        self_attention_scores: queries times keys, and weights times values: the part that grows with the square of the tokens.
        cross_attention: all of it, to text and picture.
        feed_forward: the two layers of each block.
        audio: its embedding and all of its cross-attention.
        output: from tokens back to patches.
    """

    embeddings: int
    self_attention_projections: int
    self_attention_scores: int
    cross_attention: int
    feed_forward: int
    audio: int
    output: int

    @property
    def total(self) -> int:
        """Of the forward pass."""
        return sum(getattr(self, field.name) for field in fields(self))

    @property
    def backward(self) -> int:
        """Of the backward pass: each product is differentiated by both of its factors; the few whose input needs no gradient are counted too."""
        return 2 * self.total

    def training(self, checkpointing: bool = False) -> int:
        """Of forward and backward pass; gradient checkpointing goes forward twice."""
        return self.total + self.backward + (self.total if checkpointing else 0)


def forward_flops(
    config: Mapping[str, Any],
    video: tuple[int, int, int],
    anchors: int = 0,
    anchor_size: tuple[int, int] | None = None,
    text_tokens: int = 512,
    image_tokens: int = 0,
    audio_window: int = 0,
    audio_layers: int = 0,
    batch: int = 1,
    frame_timesteps: bool = False,
    anchors_cached: bool = False,
) -> FlopCount:
    """Count the operations of a forward pass.

    Args:
        config: of the network, as diffusers keeps it.
        video: frames, height and width in latents.
        anchors: per sample, with those that are padding: they are computed too.
        anchor_size: height and width of an anchor in latents; None for the video's.
        text_tokens: per sample.
        image_tokens: per sample, of the picture's embedding.
        audio_window: audio vectors per latent frame; 0 for no audio.
        audio_layers: blocks that listen.
        batch: samples.
        frame_timesteps: each latent frame has a timestep of its own.
        anchors_cached: keys and values of the anchors are there already; see ``AnchorWanTransformer3DModel.cache_anchors``.

    Raises:
        ModelInputError: a size that is not a multiple of the patch size.
    """
    dim = config["num_attention_heads"] * config["attention_head_dim"]
    layers, patch = config["num_layers"], config["patch_size"]
    video_tokens = batch * _patches("video", video, patch)
    anchor_tokens = batch * anchors * _patches("anchor", (1, *(anchor_size or video[1:])), (1, *patch[1:]))
    tokens = video_tokens + (0 if anchors_cached else anchor_tokens)
    seen = (video_tokens + anchor_tokens) // batch
    text, image, heard = batch * text_tokens, batch * image_tokens, batch * video[0] * audio_window
    rows = batch * ((video[0] if frame_timesteps else 1) + (1 if anchors and not anchors_cached else 0))

    embeddings = _linear(tokens, config["in_channels"] * prod(patch), dim)
    embeddings += _linear(rows, config["freq_dim"], dim) + _linear(rows, dim, dim) + _linear(rows, dim, 6 * dim)
    embeddings += _linear(text, config["text_dim"], dim) + _linear(text, dim, dim)
    if image:
        embeddings += _linear(image, config["image_dim"], config["image_dim"]) + _linear(image, config["image_dim"], dim)

    # the picture is looked at through keys and values of its own, or beside the text where there are none
    cross = 2 * _linear(tokens, dim, dim) + 2 * _linear(text, dim, dim) + 2 * _linear(image, config.get("added_kv_proj_dim") or dim, dim)
    cross += _scores(tokens, text_tokens + image_tokens, dim)

    audio = 0
    if heard:
        audio = _linear(heard, config["audio_dim"], dim) + _linear(heard, dim, dim)
        audio += audio_layers * (2 * _linear(video_tokens, dim, dim) + 2 * _linear(heard, dim, dim) + _scores(video_tokens, audio_window, dim))

    return FlopCount(
        embeddings=embeddings,
        self_attention_projections=layers * 4 * _linear(tokens, dim, dim),
        self_attention_scores=layers * _scores(tokens, seen, dim),
        cross_attention=layers * cross,
        feed_forward=layers * 2 * _linear(tokens, dim, config["ffn_dim"]),
        audio=audio,
        output=_linear(video_tokens, dim, config["out_channels"] * prod(patch)),
    )


def _linear(rows: int, inputs: int, outputs: int) -> int:
    return 2 * rows * inputs * outputs


def _scores(queries: int, keys: int, dim: int) -> int:
    """Of all heads together: each of all queries compares itself with the keys of its own sample, then adds up their values."""
    return 2 * _linear(queries, dim, keys)


def _patches(name: str, size: tuple[int, int, int], patch: tuple[int, int, int]) -> int:
    if any(length % step or length < 1 for length, step in zip(size, patch, strict=True)):
        raise ModelInputError(f"the {name}'s size of {size} latents is not a multiple of the patch size {tuple(patch)}; choose another size")
    return prod(length // step for length, step in zip(size, patch, strict=True))
