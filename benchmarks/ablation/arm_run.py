"""One training of one arm, with the trainer itself, and the scores of its checkpoints."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmarks.ablation.arms import Arm
from benchmarks.ablation.drawn import CLASSES, Samples, samples
from benchmarks.ablation.network import checkpoint
from benchmarks.ablation.scores import Scores, score
from benchmarks.ablation.shards import write_shards
from model.checkpoint import Checkpoint
from model.positions import Positions
from model.sampler import Sampler
from training.checkpoint_folder import checkpoints_in
from training.export import trained_checkpoint
from training.options import (
    BatchOptions,
    CheckpointOptions,
    DataOptions,
    LogOptions,
    LossOptions,
    OptimizerOptions,
    ParallelOptions,
    SupersetOptions,
    TrainingOptions,
    ValidationOptions,
)
from training.run import run

SAMPLES = 8192
"""That are trained on, again in every epoch with other anchors."""
HELD_OUT = 192
"""Characters that are drawn for the scores, and never trained on."""
COUNT_WEIGHTS = (0.0, 0.0, 0.0, 0.0, 0.02, 0.06, 0.12, 0.20, 0.60)
"""Of drawing 0 to 8 anchors: mostly one of every class, for what a clip asks for should be there."""
HELD_OUT_SEED = 1_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """A checkpoint's scores."""

    step: int
    scores: Scores


def train_arm(arm: Arm, seed: int, steps: int, every: int, folder: Path) -> list[Point]:
    """Train, and score every checkpoint.

    Args:
        arm: which.
        seed: of the characters, the network and the training.
        steps: of the training.
        every: steps from one checkpoint to the next.
        folder: for shards, checkpoints, and ``generated.pt``, what the last checkpoint makes of the held-out samples.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of one that was cut off
    start = folder / "start"
    untrained = checkpoint(seed)
    untrained.save(start)
    shards = write_shards(folder / "shards", samples(SAMPLES, torch.Generator().manual_seed(seed)), untrained)
    options, positions = training_options(arm, seed, steps, every, shards, start, folder / "out"), arm.positions(seed)
    run(options, Console(file=StringIO()), positions)
    points = []
    for step, frames in generated(folder / "out", positions):
        points.append(Point(step, score(frames, held_out())))
        torch.save(frames, folder / "generated.pt")
    (folder / "scores.json").write_text(json.dumps([asdict(point) for point in points]))
    return points


def training_options(arm: Arm, seed: int, steps: int, every: int, shards: Path, start: Path, out: Path) -> TrainingOptions:
    """Of the trainer; all arms differ in ``outside_share`` alone, and in where anchors stand."""
    return TrainingOptions(
        (str(shards),),
        str(out),
        str(start),
        steps=steps,
        seed=seed,
        data=DataOptions(source="latents", workers=0),
        superset=SupersetOptions(count_weights=COUNT_WEIGHTS, outside_share=arm.outside_share, most_per_class=1),
        batch=BatchOptions(size=32, micro=32),
        loss=LossOptions(sigma_mean=1.5, sigma_shift=1.0, given_weights=(1.0,), drop_text=0.0, drop_audio=0.0, drop_anchors=0.0),
        optimizer=OptimizerOptions(rate=2e-3, warmup=100, lowest=0.1, betas=(0.9, 0.99), average=0.99),
        parallel=ParallelOptions(device="cpu", threads=1),
        checkpoint=CheckpointOptions(every=every, keep=steps),
        validation=ValidationOptions(share=0.0, pictures=0),
        log=LogOptions(every=every, tensorboard=False),
    )


def held_out() -> Samples:
    """Characters that nobody was trained on, the same for all arms and seeds."""
    return samples(HELD_OUT, torch.Generator().manual_seed(HELD_OUT_SEED))


def generated(out: Path, positions: Positions) -> Iterator[tuple[int, Tensor]]:
    """What each checkpoint of a training makes of the held-out samples: (B, 3, FRAMES, SIDE, SIDE), -1..1."""
    drawn = held_out()
    for step in checkpoints_in(out / "checkpoints"):
        yield step, sampled(trained_checkpoint(out, step), drawn, positions)


@torch.no_grad()
def sampled(trained: Checkpoint, drawn: Samples, positions: Positions) -> Tensor:
    """Clips from noise, given the captions and the anchors outside, one of each class; the noise is the same for all networks."""
    codec, network, text = trained.codec, trained.transformer.eval(), trained.text_encoder
    assert isinstance(text, nn.Module)
    anchors, words = codec.encode(drawn.outside), text(drawn.captions())
    places = torch.tensor([positions.of(CLASSES) for _ in range(len(anchors))], dtype=torch.float64)
    latents = torch.randn(codec.encode(drawn.clips).shape, generator=torch.Generator().manual_seed(HELD_OUT_SEED))
    sampler = Sampler(trained.sampling)
    for number, time in enumerate(sampler.timesteps):
        (velocity,) = network(latents, time.expand(len(latents)), words, anchors=anchors, anchor_positions=places, return_dict=False)
        latents = sampler.step(velocity, number, latents)
    return codec.decode(latents)
