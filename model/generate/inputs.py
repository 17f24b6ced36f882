"""What a video is made from, read and checked: the size, the anchors, the first frame, the sound, the words."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from model.audio.protocols import SAMPLE_RATE, AudioFeatures
from model.audio.waveform import Waveform
from model.audio.windows import audio_windows, chunk_span, silence_vector
from model.checkpoint import Checkpoint
from model.conditions.protocols import ImageEncoder, TextEncoder
from model.errors import ModelInputError
from model.generate.anchor_pictures import AnchorPicture, fit
from model.generate.denoise import Anchors
from model.generate.options import Size
from model.generate.plan import Chunk, ChunkPlan
from model.positions import AnchorPositions

WIDE = (832, 480)
"""The shape of a video that nothing else gives one."""

PROMPTS_READY = 4
"""Embeddings that are on the device at a time: a schedule may have any number of prompts."""


def choose_size(size: Size, multiple: int, area: int, like: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height of the video, in pixels.

    Args:
        size: what was asked for.
        multiple: both are multiples of it.
        area: width x height, at most, when nothing was asked for.
        like: width and height of a picture to take the shape from.

    Raises:
        ModelInputError: sides that are no multiples.
    """
    width, height = like or WIDE
    if size.width is None and size.height is None:
        scale = min(1.0 if like else math.inf, math.sqrt(area / (width * height)))
        return tuple(max(multiple, math.floor(side * scale / multiple + 1e-6) * multiple) for side in (width, height))  # type: ignore[return-value]
    chosen_width = round(size.height * width / height / multiple) * multiple if size.width is None else size.width  # type: ignore[operator]
    chosen_height = round(chosen_width * height / width / multiple) * multiple if size.height is None else size.height
    for name, side in (("width", chosen_width), ("height", chosen_height)):
        if side < multiple or side % multiple:
            below = max(multiple, side // multiple * multiple)
            raise ModelInputError(f"{name} {side} is not a multiple of {multiple}, which this network needs; take {below} or {below + multiple}")
    return chosen_width, chosen_height


def read_image(path: Path) -> np.ndarray:
    """A picture, turned as it is meant to be seen: (H, W, 3) uint8.

    Raises:
        ModelInputError: no such file, or no picture.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except FileNotFoundError as error:
        raise ModelInputError(f"--image {path}: there is no such file") from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ModelInputError(f"--image {path} is not a picture that can be read ({error}); give a JPEG or PNG") from error


def to_frames(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures (H, W, 3) uint8 of one size as (N, 3, H, W) in -1..1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def encode_anchors(pictures: Sequence[AnchorPicture], checkpoint: Checkpoint, width: int, height: int, device: str) -> Anchors | None:
    """Anchors as the network takes them; each is encoded as the first frame of a video would be.

    Raises:
        ModelInputError: a picture does not fit the video, or there are too many of one class.
    """
    if not pictures:
        return None
    positions: AnchorPositions = checkpoint.transformer.anchor_positions
    classes = [picture.anchor for picture in pictures]
    try:
        places = positions.of(classes)
    except ValueError as error:
        raise ModelInputError(f"--anchors: {error}") from error
    frames = to_frames([picture.rgb for picture in fit(pictures, width, height)]).to(device)
    latents = torch.cat([checkpoint.codec.encode(frame[None, :, None]) for frame in frames], dim=2)
    names = tuple(str(anchor) for anchor in classes)
    return Anchors(checkpoint.layout.anchors(latents), torch.tensor([places], dtype=torch.float64, device=device), names)


@torch.no_grad()
def encode_picture(encoder: ImageEncoder, frame: Tensor, device: str, dtype: torch.dtype) -> Tensor:
    """A picture (1, 3, H, W) as tokens (1, P, image_dim) on the device. On a GPU the encoder is there only meanwhile."""
    _bring(encoder, device, dtype)
    tokens = encoder.encode(frame.to(device))
    encoder.to("cpu")
    return tokens.to(device)


class Words:
    """Embeddings of the prompts of a video. The same prompt gives the same tensor object until others were asked for."""

    @torch.no_grad()
    def __init__(self, encoder: TextEncoder, prompts: Sequence[str], device: str, dtype: torch.dtype) -> None:
        """Embed. On a GPU the encoder is there only meanwhile, in the network's type: UMT5 is larger than many networks."""
        self._device = device
        _bring(encoder, device, dtype)
        self._embedded = {prompt: encoder.encode([prompt]).cpu() for prompt in dict.fromkeys(prompts)}
        encoder.to("cpu")
        self._ready: OrderedDict[str, Tensor] = OrderedDict()

    def __call__(self, prompt: str) -> Tensor:
        """(1, T, text_dim) on the device."""
        if prompt not in self._ready:
            self._ready[prompt] = self._embedded[prompt].to(self._device)
            if len(self._ready) > PROMPTS_READY:
                self._ready.popitem(last=False)
        self._ready.move_to_end(prompt)
        return self._ready[prompt]


def _bring(encoder: TextEncoder | ImageEncoder, device: str, dtype: torch.dtype) -> None:
    if device != "cpu":
        encoder.to(device, dtype)


class Hearing:
    """The windows of audio of any chunk; the waveform is read and its features computed chunk by chunk, so that memory does not grow."""

    def __init__(self, waveform: Waveform, features: AudioFeatures, plan: ChunkPlan, window: int, device: str) -> None:
        self._waveform, self._features, self._plan, self._window, self._device = waveform, features, plan, window, device
        self._silence = silence_vector(features)

    @torch.no_grad()
    def __call__(self, chunk: Chunk) -> Tensor:
        """(1, F, window, audio_dim)."""
        cut = (chunk.first, self._plan.latents, self._plan.temporal_factor, float(self._plan.rate))
        span = chunk_span(*cut, margin=self._features.margin, window=self._window)
        vectors = span.cut(self._features.extract(self._waveform.read(span.first_sample, span.samples), SAMPLE_RATE))
        return audio_windows(vectors, span.first_vector, self._silence, *cut, window=self._window)[None].to(self._device)
