"""What small trainings are made of: shards of drawn clips, and a checkpoint to start from. Both have everything that large ones have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.__main__ import main as jobs
from schemas.sample import INDEX_METADATA, Sample
from tests.training.data.made_shards import write_shards
from tests.training.small_training import AREA, PER_SHARD, small_checkpoint, write_small_shards
from training.data.index import read_index
from training.data.reader import ShardReader
from training.data.shard_cache import ShardCache

HELD_OUT = "character-3"


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
            *("--checkpoint.every", 10, "--validation.share", 0, "--validation.pictures", 0, "--log.every", 1, "--log.no-tensorboard", "--parallel.threads", 1),
        )
        return (*given, *more)


def write_all(folder: Path) -> Made:
    """Shards of about five samples, and the checkpoint."""
    small_checkpoint().save(folder / "start")
    return Made(write_small_shards(folder / "shards"), folder / "start")


def write_latents(folder: Path, made: Made) -> Path:
    """The same samples with latents beside their pixels, by ``python -m jobs encode``."""
    words = ("encode", "--shards", made.shards, "--out", folder, "--checkpoint", made.start, "--area", AREA, "--dtype", "float32")
    assert jobs([*map(str, words), "--engine.engine", "local", "--engine.workers", "1", "--device", "cpu"]) == 0
    return folder / "shards"


def change_samples(shards: Path, to: Path, change: Callable[[Sample], Sample]) -> Path:
    """Shards again, their samples changed."""
    index = read_index([str(shards)])
    reader = ShardReader(index, ShardCache(to / "cache", 0))
    write_shards(to, [change(reader.read(row)) for row in range(len(index.keys))], PER_SHARD)
    if index.latents_key is not None:
        note = {INDEX_METADATA: index.latents_key.to_json().encode()}
        change_index(to, lambda table: table.replace_schema_metadata({**table.schema.metadata, **note}))
    return to


def change_index(shards: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    path = shards / "index.parquet"
    pq.write_table(change(pq.ParquetFile(path).read()), path)
