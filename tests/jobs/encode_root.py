"""Shards as ``pack`` leaves them and a checkpoint, both small, for tests of ``encode``."""

from collections.abc import Sequence
from pathlib import Path

import torch
import webdataset

from jobs.engine import EngineOptions
from jobs.options import Encode
from model.create import create_tiny
from pipeline.pack import shards as shard_files
from schemas.sample import Sample, parse_sample
from tests.pipeline.pack.made_samples import made_sample

torch.set_num_threads(1)  # as workers do: other numbers of threads give other last bits

PER_SHARD = 70_000
"""Bytes: some three samples."""


def write_shards(folder: Path, samples: Sequence[Sample], shard_bytes: int = PER_SHARD) -> list[shard_files.Row]:
    """Write samples into shards of a folder, with their index; its rows."""
    plans, rows = shard_files.fill([shard_files.stage(str(folder), sample) for sample in samples], 0, shard_bytes, seed=0)
    for plan in plans:
        shard_files.write_shard(str(folder), plan)
    shard_files.write_shard_index(str(folder), rows, len(plans))
    shard_files.tidy(str(folder), {row["shard"] for row in rows})
    return rows


def some_samples(count: int) -> list[Sample]:
    """One with sound, one without, one without anchors, and so on."""
    return [made_sample(f"clip-{number}", audio=number % 3 != 1, anchors=0 if number % 3 == 2 else 2, sample_hash=f"made-{number}") for number in range(count)]


def write_checkpoint(folder: Path, seed: int = 0) -> Path:
    """A tiny network with its codec and encoders."""
    create_tiny(seed).save(folder)
    return folder


def command(shards: Path | str, out: Path | str, checkpoint: Path | str, **changes: object) -> Encode:
    """The command in this process."""
    return Encode((str(shards),), str(out), str(checkpoint), engine=EngineOptions(engine="local"), **changes)  # type: ignore[arg-type]


def streamed(out: Path) -> dict[str, Sample]:
    """All samples of an output root as plain webdataset yields them."""
    urls = sorted(map(str, (out / "shards").glob("*.tar")))
    return {sample["__key__"]: parse_sample(sample["__key__"], sample) for sample in webdataset.WebDataset(urls, shardshuffle=False, empty_check=False)}
