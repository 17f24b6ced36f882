"""What a worker hands over reaches the trainer as it was made."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch

from model.positions import AnchorClass
from schemas.vocabulary import AnchorKind
from training.data.sample import Draws, MicroBatch, Skipped, TrainingSample

DRAWS = Draws(first_frame=4, given=1, sigma=0.25, noise_seed=7, drop_text=False, drop_audio=True, drop_anchors=False)
SAMPLE = TrainingSample(
    key="a",
    epoch=2,
    counted=True,
    caption="a walk",
    frames=torch.arange(5 * 2 * 3 * 3, dtype=torch.uint8).view(5, 2, 3, 3),
    latents=None,
    anchor_classes=(AnchorClass(AnchorKind.GLOBAL),),
    anchor_frames=torch.ones(1, 2, 3, 3, dtype=torch.uint8),
    anchor_latents=None,
    waveform=None,
    audio_features=torch.rand(3, 4, generator=torch.Generator().manual_seed(0)),
    text_embedding=None,
    frame_rate=16.0,
    draws=DRAWS,
)


def test_a_micro_batch_goes_from_process_to_process_unchanged() -> None:
    batch = MicroBatch((SAMPLE, replace(SAMPLE, key="b", counted=False)), (Skipped("c", "c: is damaged"),))
    there = pickle.loads(pickle.dumps(batch))
    assert there.skipped == batch.skipped
    for sent, arrived in zip(batch.samples, there.samples, strict=True):
        for field in fields(TrainingSample):
            before, after = getattr(sent, field.name), getattr(arrived, field.name)
            assert torch.equal(before, after) if isinstance(before, torch.Tensor) else before == after, field.name


def test_choices_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        SAMPLE.draws.sigma = 0.5  # type: ignore[misc]
    assert replace(DRAWS, sigma=0.5) != DRAWS
