"""Samples as the data set hands them over, made by hand: pictures with gradients, so that frames and anchors differ from one another."""

from typing import Any

import torch
from torch import Tensor

from model.positions import AnchorClass
from schemas.vocabulary import AnchorKind, Expression, Viewpoint
from training.data.sample import Draws, TrainingSample

CLASSES = (AnchorClass(AnchorKind.GLOBAL), AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.LEFT), AnchorClass(AnchorKind.EXPRESSION, Expression.HAPPY))


def pixels(*shape: int, seed: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def sample(key: str = "clip-1", seed: int = 0, frames: int = 9, height: int = 16, width: int = 24, anchors: int = 3, **changes: Any) -> TrainingSample:
    """Seeds tell the content, and the noise."""
    values: dict[str, Any] = {
        "key": key,
        "epoch": 0,
        "counted": True,
        "caption": "a red figure waves",
        "frames": pixels(frames, height, width, 3, seed=seed),
        "latents": None,
        "anchor_classes": CLASSES[:anchors],
        "anchor_frames": pixels(anchors, height, width, 3, seed=seed + 100) if anchors else None,
        "anchor_latents": None,
        "waveform": None,
        "audio_features": None,
        "text_embedding": None,
        "frame_rate": 16.0,
        "draws": Draws(0, 1, 0.3, noise_seed=seed, drop_text=False, drop_audio=False, drop_anchors=False),
    }
    return TrainingSample(**(values | changes))
