"""What small trainings are made of: shards of drawn clips, and a checkpoint to start from. Both have everything that large ones have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from jobs.__main__ import main as encode
from model.audio.log_mel import LogMel
from model.checkpoint import Checkpoint
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.words import WordEmbedding
from model.presets import preset
from model.sampler import SamplerOptions
from schemas.sample import INDEX_METADATA, Sample
from tests.training.data.drawn_samples import drawn_sample
from tests.training.data.made_shards import write_shards
from training.data.index import read_index
from training.data.reader import ShardReader
from training.data.shard_cache import ShardCache

SIZES = ((64, 48), (48, 64))
CAPTIONS = ("a woman laughs", "an old man walks through the rain", None)
CHARACTERS, CLIPS = 4, 18
AREA = 256
HELD_OUT = "character-3"
SMALL = {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 24, "ffn_dim": 64, "text_dim": 16, "freq_dim": 32}


@dataclass(frozen=True)
class Made:
    """Where they lie."""

    shards: Path
    start: Path

    def words(self, out: Path, *more: object) -> tuple[object, ...]:
        """Arguments of a small training; ``more`` replaces some."""
        given: Sequence[object] = (
            *("--shards", self.shards, "--from-checkpoint", self.start, "--out", out, "--steps", 20, "--data.area", AREA, "--data.frames", 9),
            *("--data.workers", 1, "--batch.size", 4, "--batch.micro", 4, "--optimizer.rate", 1e-3, "--optimizer.warmup", 5),
            *("--checkpoint.every", 10, "--validation.share", 0, "--log.every", 1, "--log.no-tensorboard", "--parallel.threads", 1),
        )
        return (*given, *more)


def samples(clips: int = CLIPS) -> list[Sample]:
    """Clips of two sizes, with sound and without, with captions and without, each with anchors of several classes from inside and outside."""
    return [
        _of(drawn_sample(f"clip-{n:02d}", 13, *SIZES[n % 2], audio=n % 3 != 1, caption=CAPTIONS[n % 3]), f"character-{n % CHARACTERS}") for n in range(clips)
    ]


def write_start(folder: Path, seed: int = 0) -> Path:
    """An untrained network of two little blocks that hears and reads."""
    recipe = preset("tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = recipe.build(**SMALL)
    text = WordEmbedding(SMALL["text_dim"], length=8, buckets=64, seed=seed)
    usage = replace(recipe.usage, area=AREA, steps=2)
    Checkpoint(transformer.eval(), PixelUnshuffleCodec(2, 4), text, None, LogMel(), SamplerOptions("unipc", 2, recipe.shift), usage).save(folder)
    return folder


def write_all(folder: Path) -> Made:
    """Shards of about five samples, and the checkpoint."""
    return Made(write_shards(folder / "shards", samples(), 5), write_start(folder / "start"))


def _of(sample: Sample, character: str) -> Sample:
    metadata = replace(sample.metadata, character_id=character, sample_hash=sample.metadata.clip_id)
    return replace(sample, metadata=metadata)


def write_latents(folder: Path, made: Made) -> Path:
    """The same samples with latents beside their pixels, by ``python -m jobs encode``."""
    words = ("encode", "--shards", made.shards, "--out", folder, "--checkpoint", made.start, "--area", AREA, "--dtype", "float32")
    assert encode([*map(str, words), "--engine.engine", "local", "--engine.workers", "1", "--device", "cpu"]) == 0
    return folder / "shards"


def change_samples(shards: Path, to: Path, change: Callable[[Sample], Sample]) -> Path:
    """Shards again, their samples changed."""
    index = read_index([str(shards)])
    reader = ShardReader(index, ShardCache(to / "cache", 0))
    write_shards(to, [change(reader.read(row)) for row in range(len(index.keys))], 5)
    if index.latents_key is not None:
        note = {INDEX_METADATA: index.latents_key.to_json().encode()}
        change_index(to, lambda table: table.replace_schema_metadata({**table.schema.metadata, **note}))
    return to


def change_index(shards: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = shards / "index.parquet"
    pq.write_table(change(pq.ParquetFile(path).read()), path)
