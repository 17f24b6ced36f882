"""A sample as the network takes it. The trainer does this on the way, ``python -m jobs encode`` ahead of time; both with these functions: every clip,
every anchor and every caption is encoded alone, whatever else is in the batch. So the numbers are the same for whole clips and, as the codec is causal,
for parts from their start. A part from further on is not: cut before it is encoded, its first latent stands for one frame; cut out of latents, for several,
and what was before it is in them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.audio.protocols import SAMPLE_RATE, AudioFeatures
from model.checkpoint import Checkpoint
from model.conditions.protocols import Codec, ImageEncoder, TextEncoder
from model.errors import ModelInputError
from model.samples.decode import decode_audio, decode_picture, decode_video
from model.samples.size import scaled_size
from schemas.latents import Latents, LatentsKey
from schemas.sample import Sample, SampleAnchor, SampleError, SampleMetadata


@torch.no_grad()
def encode_frames(codec: Codec, frames: Tensor) -> Tensor:
    """A clip (F, H, W, 3) uint8, on any device, as latents (C, f, h, w) on the codec's. F is 1 + a multiple of the codec's temporal factor."""
    return codec.encode(to_codec_range(frames).permute(3, 0, 1, 2)[None])[0]


@torch.no_grad()
def encode_anchors(codec: Codec, pictures: Tensor) -> Tensor:
    """Anchors (K, H, W, 3) uint8 as latents (K, C, h, w), each encoded as a video of one frame would be. K is 1 or more."""
    return torch.stack([encode_frames(codec, picture[None])[:, 0] for picture in pictures])


@torch.no_grad()
def encode_text(encoder: TextEncoder, caption: str) -> Tensor:
    """A caption as (T, D) float32: T tokens that are not padding, which is zeros. No gradients: for encoders that are not trained."""
    tokens = encoder.encode([caption])[0].float()
    return tokens[: int((tokens != 0).any(dim=1).sum())]


@torch.no_grad()
def audio_features(features: AudioFeatures, waveform: Tensor) -> Tensor:
    """The sound of a whole clip, (N,) float32 at 16 kHz, as (V, D) float32, 50 per second."""
    return features.extract(waveform, SAMPLE_RATE)


@torch.no_grad()
def encode_picture(encoder: ImageEncoder, frame: Tensor) -> Tensor:
    """A frame (H, W, 3) uint8 as tokens (P, D) float32 of an image encoder."""
    return encoder.encode(to_codec_range(frame).permute(2, 0, 1)[None])[0].float()


def to_codec_range(pixels: Tensor) -> Tensor:
    """8-bit values as float32 in -1..1."""
    return pixels.float() / 127.5 - 1


def latents_key(checkpoint: Checkpoint, area: int) -> LatentsKey:
    """Which networks and which size the latents of this checkpoint's samples depend on.

    The weights count in the type that they are in when a network is first asked: ask before one is moved into another.

    Args:
        checkpoint: its codec and encoders.
        area: upper bound of width x height that clips are scaled down to, in pixels.
    """
    hears = checkpoint.transformer.config.audio_dim is not None
    return LatentsKey(
        codec=checkpoint.codec.fingerprint,
        text=checkpoint.text_encoder.fingerprint,
        audio=checkpoint.audio_features.fingerprint if hears else None,
        picture=None if checkpoint.image_encoder is None else checkpoint.image_encoder.fingerprint,
        area=area,
    )


def size_multiple(checkpoint: Checkpoint) -> int:
    """Pixels that the sides of a clip must be multiples of: those of a latent times the latents of a patch."""
    return int(checkpoint.codec.spatial_factor * checkpoint.transformer.config.patch_size[1])


def fitting_frames(frames: int, temporal_factor: int) -> int:
    """The most frames that are 1 + a multiple of the codec's temporal factor: what a codec takes of a clip, from its start."""
    return frames - (frames - 1) % temporal_factor


def encode_sample(sample: Sample, checkpoint: Checkpoint, area: int, device: str, dtype: torch.dtype) -> Latents:
    """A sample's latents and embeddings.

    Args:
        sample: with its pixels.
        checkpoint: whose codec and encoders; they are moved to the device, and stay there.
        area: upper bound of width x height that the clip is scaled down to, in pixels.
        device: to compute on.
        dtype: to store the numbers in, float32 or float16. Those of float32 are, to the bit, what the trainer computes on the same device.

    Raises:
        SampleError: the sample has no pixels, or what it has cannot be decoded or brought to the size; the message names the key.
    """
    key = latents_key(checkpoint, area)
    metadata = sample.metadata
    _move(checkpoint, key, device)
    width, height = _size(metadata, area, size_multiple(checkpoint))
    frames = _frames(sample, fitting_frames(metadata.frame_count, checkpoint.codec.temporal_factor), width, height).to(device)
    pictures = [decode_picture(picture, width, height, f"{metadata.clip_id}.{anchor.file}") for anchor, picture in _anchors(sample)]
    text = checkpoint.text_encoder
    return Latents(
        video=_stored(encode_frames(checkpoint.codec, frames), dtype),
        anchors=_stored(encode_anchors(checkpoint.codec, _stacked(pictures).to(device)), dtype) if pictures else None,
        text=_stored(encode_text(text, metadata.caption), dtype) if key.text is not None and metadata.caption is not None else None,
        audio=_stored(audio_features(checkpoint.audio_features, _sound(sample)), dtype) if key.audio is not None and sample.audio is not None else None,
        picture=None if checkpoint.image_encoder is None else _stored(encode_picture(checkpoint.image_encoder, frames[0]), dtype),
        key=key,
    )


def _move(checkpoint: Checkpoint, key: LatentsKey, device: str) -> None:
    checkpoint.codec.to(device)
    if key.text is not None:
        checkpoint.text_encoder.to(device)
    if key.audio is not None:
        checkpoint.audio_features.to(device)
    if checkpoint.image_encoder is not None:
        checkpoint.image_encoder.to(device)


def _size(metadata: SampleMetadata, area: int, multiple: int) -> tuple[int, int]:
    try:
        return scaled_size(metadata.width, metadata.height, area, multiple)
    except ModelInputError as error:
        raise SampleError(f"{metadata.clip_id}: {error}") from error


def _frames(sample: Sample, count: int, width: int, height: int) -> Tensor:
    if sample.video is None:
        raise SampleError(f"{sample.metadata.clip_id}: has no pixels to encode, only latents; encode the shards that those were made from")
    return torch.from_numpy(decode_video(sample.video, 0, count, width, height, sample.metadata.clip_id))


def _anchors(sample: Sample) -> list[tuple[SampleAnchor, bytes]]:
    return list(zip(sample.metadata.anchors, sample.anchors, strict=True))


def _sound(sample: Sample) -> Tensor:
    assert sample.audio is not None
    return torch.from_numpy(decode_audio(sample.audio, sample.metadata.clip_id))


def _stacked(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.stack(pictures))


def _stored(numbers: Tensor, dtype: torch.dtype) -> NDArray[np.floating]:
    return numbers.to("cpu", dtype).numpy()
