"""What the network is given must fit it: each thing's shape and type against the configuration, with what to do where it does not.

Checked before anything is computed, since a tensor that is wrong in one axis often fits some product all the same. ``config`` is the network's, as diffusers
keeps it; every function raises ModelInputError.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.attention import KeyValue
from model.errors import ModelInputError

CLIP_TEXT_TOKENS = 512
"""Stock attention to pictures takes the last 512 tokens for text and those before for the picture."""


def check_video(config: Mapping[str, Any], video: Tensor, timestep: Tensor) -> None:
    """Latents (B, C, F, H, W), and times of samples (B,), of latent frames (B, F) or of tokens (B, L)."""
    if video.ndim != 5 or video.shape[1] != config["in_channels"]:
        raise ModelInputError(f"the video's latents must be (B, {config['in_channels']}, F, H, W) for this network, not {tuple(video.shape)}")
    batch, _, frames, height, width = video.shape
    _check_size(config, "the video", video)
    _, down, across = config["patch_size"]
    if tuple(timestep.shape) not in {(batch,), (batch, frames), (batch, frames * (height // down) * (width // across))}:
        raise ModelInputError(f"timestep must have a number per sample ({batch},) or per latent frame ({batch}, {frames}), not {tuple(timestep.shape)}")


def check_conditions(config: Mapping[str, Any], text: Tensor, picture: Tensor | None, batch: int) -> None:
    """Text (B, T, text_dim), and the embedding of a picture (B, P, image_dim) where the network looks at one, and only there."""
    if text.ndim != 3 or text.shape[0] != batch or text.shape[2] != config["text_dim"]:
        raise ModelInputError(f"text must be ({batch}, T, {config['text_dim']}) for this network, not {tuple(text.shape)}")
    if (picture is None) != (config["image_dim"] is None):
        wanted = "needs the embedding of a picture (image to video)" if picture is None else "takes no embedding of a picture"
        raise ModelInputError(f"this network {wanted}")
    if picture is not None and (picture.ndim != 3 or picture.shape[2] != config["image_dim"]):
        raise ModelInputError(f"the embedding of a picture must be ({batch}, P, {config['image_dim']}) for this network, not {tuple(picture.shape)}")
    if config["added_kv_proj_dim"] is not None and text.shape[1] != CLIP_TEXT_TOKENS:
        raise ModelInputError(f"a network that looks at pictures takes {CLIP_TEXT_TOKENS} text tokens, padded with zeros, not {text.shape[1]}")


def check_audio(config: Mapping[str, Any], audio: Tensor | None, mask: Tensor | None, batch: int, frames: int) -> None:
    """Windows (B, F, audio_window, audio_dim) and which samples have any, (B,) bool."""
    if audio is None:
        return
    if config["audio_dim"] is None:
        raise ModelInputError("this network hears nothing: it was built without audio_dim; leave the audio out")
    wanted = (batch, frames, config["audio_window"], config["audio_dim"])
    if tuple(audio.shape) != wanted:
        raise ModelInputError(f"audio must be (samples, latent frames, window, audio_dim) = {wanted}, not {tuple(audio.shape)}")
    if mask is not None and (tuple(mask.shape) != (batch,) or mask.dtype != torch.bool):
        raise ModelInputError(f"audio_mask must be ({batch},) of bool, not {tuple(mask.shape)} of {mask.dtype}")


def checked_anchors(
    config: Mapping[str, Any], anchors: Tensor, positions: Tensor | None, mask: Tensor | None, batch: int, frames: int
) -> tuple[Tensor, Tensor | None]:
    """Latents (B, C, K, h, w), positions (B, K) and mask (B, K) bool, beside a video of so many latent frames.

    Returns:
        Positions and mask, where the anchors lie.
    """
    if anchors.ndim != 5 or anchors.shape[0] != batch or anchors.shape[1] != config["in_channels"]:
        raise ModelInputError(f"anchors must be ({batch}, {config['in_channels']}, K, h, w) for this network and batch, not {tuple(anchors.shape)}")
    _check_size(config, "anchors", anchors)
    wanted = (batch, anchors.shape[2])
    if positions is None or tuple(positions.shape) != wanted:
        raise ModelInputError(f"anchor_positions must be {wanted}, one per anchor, not {None if positions is None else tuple(positions.shape)}")
    if mask is not None and (tuple(mask.shape) != wanted or mask.dtype != torch.bool):
        raise ModelInputError(f"anchor_mask must be {wanted} of bool, not {tuple(mask.shape)} of {mask.dtype}")
    _check_chunk(config, frames)
    return positions.to(anchors.device), None if mask is None else mask.to(anchors.device)


def check_cached(config: Mapping[str, Any], blocks: Sequence[KeyValue], batch: int, frames: int) -> None:
    """Keys and values of anchors, a pair for each block, beside a video of so many latent frames."""
    if len(blocks) != config["num_layers"] or blocks[0][0].shape[0] != batch:
        found = f"{len(blocks)} blocks and {blocks[0][0].shape[0] if blocks else 0} samples"
        raise ModelInputError(
            f"the anchors' cache is of {found}, the network has {config['num_layers']} and the video {batch}; cache these anchors with this network"
        )
    _check_chunk(config, frames)


def _check_size(config: Mapping[str, Any], name: str, latents: Tensor) -> None:
    for length, step, axis in zip(latents.shape[2:], config["patch_size"], ("frames", "height", "width"), strict=True):
        if length % step or not length:
            raise ModelInputError(f"{name}: {axis} of {length} latents is not a multiple of the patch size {step}; crop or resize the pictures")


def _check_chunk(config: Mapping[str, Any], frames: int) -> None:
    if frames > (longest := config["anchor_positions"]["longest_chunk"]):
        raise ModelInputError(f"a chunk of {frames} latent frames reaches into the positions of anchors, which begin after {longest}; make chunks shorter")
