"""Shards as ``pack`` writes them, of samples that keep the contract."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.pack.shards import fill, stage, tidy, write_shard, write_shard_index
from pipeline.pack.tar import layout
from schemas.sample import Sample, build_sample
from tests.pipeline.pack.made_samples import made_sample


def sized(key: str, width: int = 64, height: int = 48, character: str = "character") -> Sample:
    """A small sample of a character that says it has this size."""
    sample = made_sample(key, audio=False, anchors=0)
    return replace(sample, metadata=replace(sample.metadata, width=width, height=height, character_id=character))


def write_shards(folder: Path, samples: Iterable[Sample], per_shard: int) -> Path:
    """A folder of shards with about so many samples each, and their index."""
    samples = list(samples)
    folder.mkdir(parents=True, exist_ok=True)
    largest = max(layout({name: len(content) for name, content in build_sample(sample).items()}).size for sample in samples)
    plans, rows = fill([stage(str(folder), sample) for sample in samples], 0, largest * per_shard + 1024, seed=0)
    for plan in plans:
        write_shard(str(folder), plan)
    write_shard_index(str(folder), rows, len(plans))
    tidy(str(folder), [plan.name for plan in plans])
    return folder


def write_small_shards(folder: Path, shards: int, per_shard: int, sizes: Sequence[tuple[int, int]] = ((64, 48),)) -> Path:
    """Exactly so many shards; the samples clip000, clip001 … take turns with the sizes."""
    return write_shards(folder, [sized(f"clip{n:03d}", *sizes[n % len(sizes)]) for n in range(shards * per_shard)], per_shard)
