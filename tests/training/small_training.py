"""A small training with all that a large one has: shards of drawn clips, a network of two little blocks, options."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console

from model.audio.log_mel import LogMel
from model.checkpoint import Checkpoint
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.words import WordEmbedding
from model.presets import preset
from model.sampler import SamplerOptions
from schemas.sample import Sample
from tests.training.data.drawn_samples import drawn_sample
from tests.training.data.made_shards import write_shards
from training.options import (
    BatchOptions,
    CheckpointOptions,
    DataOptions,
    LogOptions,
    OptimizerOptions,
    ParallelOptions,
    TrainingOptions,
    ValidationOptions,
)
from training.parts import Parts
from training.processes import Processes
from training.run import assemble

SIZES = ((64, 48), (48, 64))
CAPTIONS = ("a woman laughs", "an old man walks through the rain", None)
CHARACTERS, CLIPS, PER_SHARD = 4, 18, 5
AREA, TEXT_DIM, STEPS = 256, 16, 2
SMALL = {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 24, "ffn_dim": 64, "text_dim": TEXT_DIM, "freq_dim": 32}


def samples(clips: int = CLIPS) -> list[Sample]:
    """Clips of two sizes, with sound and without, with captions and without, each with anchors of several classes from inside and outside."""
    return [_sample(f"clip-{n:02d}", n) for n in range(clips)]


def write_small_shards(folder: Path) -> Path:
    return write_shards(folder, samples(), PER_SHARD)


def small_checkpoint(seed: int = 0) -> Checkpoint:
    """An untrained network of two little blocks that hears and reads."""
    recipe = preset("tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = recipe.build(**SMALL)
    text = WordEmbedding(TEXT_DIM, length=8, buckets=64, seed=seed)
    usage = replace(recipe.usage, area=AREA, steps=STEPS)
    return Checkpoint(transformer.eval(), PixelUnshuffleCodec(2, 4), text, None, LogMel(), SamplerOptions("unipc", STEPS, recipe.shift), usage)


def options(shards: Path, start: Path, out: Path, **changes: Any) -> TrainingOptions:
    """Read in the trainer's own process."""
    made = TrainingOptions(
        (str(shards),),
        str(out),
        str(start),
        steps=20,
        data=DataOptions(area=AREA, frames=9, workers=0),
        batch=BatchOptions(4, 4),
        optimizer=OptimizerOptions(rate=1e-3, warmup=5),
        parallel=ParallelOptions(device="cpu"),
        checkpoint=CheckpointOptions(every=10, wait=True),
        validation=ValidationOptions(share=0),
        log=LogOptions(every=1, tensorboard=False),
    )
    return replace(made, **changes)


def assembled(options: TrainingOptions, processes: Processes) -> Parts:
    """A training that has not begun; what the CPU can do is not measured, which takes longer than its steps."""
    with patch("training.run.device_peak", return_value=1e11):
        return assemble(options, processes, Console(file=StringIO(), width=200))


def _sample(key: str, number: int) -> Sample:
    sample = drawn_sample(key, 13, *SIZES[number % 2], audio=number % 3 != 1, caption=CAPTIONS[number % 3])
    metadata = replace(sample.metadata, character_id=f"character-{number % CHARACTERS}", sample_hash=key)
    return replace(sample, metadata=metadata)
