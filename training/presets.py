"""Trainings we know by name: a small one for two cores, and the three stages of the paper, each of which starts from the one before.

Gloria trains in three stages: the audio branch; then global anchors; then viewpoint and expression anchors. What is trained and what is frozen
in each is our reading: in the first only what is new (the network must not forget how to draw while it learns to hear), in the others what anchors
act on: attention among tokens, the layers behind it, and sound, so that lips keep following it. The embeddings, the head, the reading of text and the
modulation stay as the public weights have them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import tyro

from schemas.yaml_options import OptionsError
from training.options import (
    BatchOptions,
    CheckpointOptions,
    DataOptions,
    LogOptions,
    LossOptions,
    OptimizerOptions,
    ParallelOptions,
    SupersetOptions,
    Trained,
    TrainingOptions,
    ValidationOptions,
)

ANCHORS_ACT_ON: tuple[Trained, ...] = ("audio", "self_attention", "feed_forward")


def plain() -> TrainingOptions:
    """Everything is trained with every kind of anchor. Shards, folder and start are for the user to say."""
    return TrainingOptions(tyro.MISSING, tyro.MISSING, tyro.MISSING)


def tiny() -> TrainingOptions:
    """The tiny network from nothing, in minutes on two cores: small pictures, short cuts of the clips, everything trained at a high rate."""
    return replace(
        plain(),
        steps=600,
        data=DataOptions(area=32 * 32, frames=17, workers=1),
        superset=SupersetOptions(count_weights=(1.0, 1.0, 2.0, 2.0, 2.0)),
        batch=BatchOptions(size=8, micro=8),
        loss=LossOptions(drop_text=0.05, drop_audio=0.05, drop_anchors=0.05),
        optimizer=OptimizerOptions(rate=1e-3, warmup=50, betas=(0.9, 0.98), average=0.99),
        checkpoint=CheckpointOptions(every=200),
        validation=ValidationOptions(every=200),
        log=LogOptions(every=10),
    )


def stage_1_audio() -> TrainingOptions:
    """First stage: the network learns to hear. No anchors; only the audio branch is trained. Starts from public weights (`python -m model init --stock`)."""
    return _stage(("audio",), SupersetOptions(kinds=(), count_weights=(1.0,)), rate=1e-4)


def stage_2_global() -> TrainingOptions:
    """Second stage: global anchors. Starts from the first stage's OUT."""
    return _stage(ANCHORS_ACT_ON, SupersetOptions(kinds=("global",), count_weights=(1.0, 2.0, 1.0)), rate=2e-5)


def stage_3_viewpoint_expression() -> TrainingOptions:
    """Third stage: viewpoint and expression anchors too, none to eight of them. Starts from the second stage's OUT."""
    return _stage(ANCHORS_ACT_ON, SupersetOptions(), rate=2e-5)


PRESETS: Mapping[str, Callable[[], TrainingOptions]] = MappingProxyType(
    {make.__name__: make for make in (plain, tiny, stage_1_audio, stage_2_global, stage_3_viewpoint_expression)}
)


def preset(name: str) -> TrainingOptions:
    """A preset by name; shards, out and start are for the user to say.

    Raises:
        OptionsError: there is none of that name.
    """
    if name not in PRESETS:
        raise OptionsError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return replace(PRESETS[name](), preset=name)  # type: ignore[arg-type]  # a key of PRESETS


def _stage(trained: tuple[Trained, ...], superset: SupersetOptions, rate: float) -> TrainingOptions:
    return replace(
        plain(),
        steps=20_000,
        trained=trained,
        superset=superset,
        batch=BatchOptions(size=64, micro=1),
        optimizer=OptimizerOptions(rate=rate, schedule="constant", warmup=500),
        parallel=ParallelOptions(gradient_checkpointing=True),
    )
