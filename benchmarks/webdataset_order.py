"""In which order samples come: from plain webdataset streaming, and from the trainer's own reading, on the same shards.

    python -m benchmarks.webdataset_order [--shards FOLDER] [--ranks 3] [--workers 3] [--out order.json]

Without --shards, small ones are drawn: 10 shards of 12 samples. Every reader is set up for training as its documentation says: shards and
samples shuffled, shards split over ranks, then over workers. Ranks are read one after another in this process, by the environment variables
that torchrun sets; workers are torch's.

Columns:
    repeatable      two runs give the same order
    new each epoch  the second epoch has another order than the first
    any workers     one worker gives the order that several give
    per rank        fewest and most samples of a rank in an epoch, on --ranks ranks
    missed, again   samples that no rank sees in an epoch, and that are seen once more
    few shards      with fewer shards than workers
"""

import argparse
import gc
import json
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol, cast
from unittest.mock import patch

import numpy as np
import webdataset
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from pipeline.pack.shards import fill, stage, tidy, write_shard, write_shard_index
from schemas.sample import Sample, SampleMetadata
from training.data.batches import BatchPlan, micro_batches
from training.data.dataset import ShardDataset
from training.data.index import ShardIndex, read_index
from training.data.loader import micro_batches as load
from training.data.places import Place
from training.data.reader import ShardReader
from training.data.shard_cache import ShardCache

EPOCHS = 2
SEED = 0
BATCH_OF_RANK = 2
DRAWN_SHARDS, DRAWN_PER_SHARD, FEW_SHARDS = 10, 12, 2

Epochs = list[list[str]]
"""Keys in the order in which they come, epoch by epoch."""


class Reading(Protocol):
    """Reads as one rank."""

    def __call__(self, shards: Path, rank: int, ranks: int, workers: int) -> Epochs: ...


@dataclass(frozen=True, slots=True)
class Order:
    """What a way of reading does; see the head of this file."""

    reader: str
    repeatable: bool
    new_each_epoch: bool
    any_workers: bool
    fewest_of_a_rank: int
    most_of_a_rank: int
    missed: int
    seen_again: int
    few_shards: str


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webdataset_order", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shards", type=Path, metavar="FOLDER", help="with an index.parquet; drawn when not given")
    parser.add_argument("--ranks", type=int, default=3, help="that the samples are split over")
    parser.add_argument("--workers", type=int, default=3, help="processes of a rank")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        shards = options.shards or draw_shards(Path(folder) / "shards", DRAWN_SHARDS, DRAWN_PER_SHARD)
        few = draw_shards(Path(folder) / "few", FEW_SHARDS, DRAWN_PER_SHARD)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This DataLoader will create")
            found = [measure(name, read, shards, few, options.ranks, options.workers) for name, read in READERS.items()]
        _print(found, shards, options.ranks, options.workers)
    if options.out:
        options.out.write_text(json.dumps([asdict(order) for order in found], indent=1) + "\n")
    return 0


def measure(name: str, read: Reading, shards: Path, few: Path, ranks: int, workers: int) -> Order:
    """All figures of a way of reading."""
    keys = read_index([str(shards)]).keys.tolist()
    alone, again, one_worker = (read(shards, 0, 1, count) for count in (workers, workers, 1))
    by_rank = [read(shards, rank, ranks, workers)[0] for rank in range(ranks)]
    seen = Counter(key for rank in by_rank for key in rank)
    return Order(
        reader=name,
        repeatable=alone == again,
        new_each_epoch=alone[0] != alone[1],
        any_workers=alone == one_worker,
        fewest_of_a_rank=min(map(len, by_rank)),
        most_of_a_rank=max(map(len, by_rank)),
        missed=len(set(keys) - set(seen)),
        seen_again=sum(seen.values()) - len(seen),
        few_shards=_attempt(lambda: read(few, 0, 1, FEW_SHARDS + 1)),
    )


def streamed(shards: Path, rank: int, ranks: int, workers: int) -> Epochs:
    """webdataset as its documentation shows it."""
    dataset = webdataset.WebDataset(_urls(shards), shardshuffle=100, nodesplitter=webdataset.split_by_node).shuffle(1000)
    return _stream(dataset, rank, ranks, workers)


def streamed_seeded(shards: Path, rank: int, ranks: int, workers: int) -> Epochs:
    """webdataset with its seeded shuffles."""
    dataset = webdataset.WebDataset(_urls(shards), shardshuffle=100, detshuffle=True, seed=SEED, nodesplitter=webdataset.split_by_node)
    return _stream(dataset.compose(webdataset.detshuffle(1000, seed=SEED)), rank, ranks, workers)


def streamed_resampled(shards: Path, rank: int, ranks: int, workers: int) -> Epochs:
    """webdataset with shards drawn with replacement, and epochs that are cut to the same length on every rank."""
    length = len(read_index([str(shards)])) // (ranks * max(workers, 1))
    dataset = webdataset.WebDataset(_urls(shards), resampled=True, seed=SEED, nodesplitter=webdataset.split_by_node).shuffle(1000).with_epoch(length)
    return _stream(dataset, rank, ranks, workers)


def by_index(shards: Path, rank: int, ranks: int, workers: int) -> Epochs:
    """The trainer's own: order, micro-batches, reading by byte range and workers."""
    index = read_index([str(shards)])
    steps = list(takewhile(lambda step: step.epoch < EPOCHS, _plan(index, ranks).steps()))
    turns = [(step.epoch, micro_batches(step, rank, ranks, 1)) for step in steps]
    dataset = _Keys(ShardReader(index, ShardCache(shards / ".cache", 0)))
    found = load(cast(ShardDataset, dataset), [places for _, turn in turns for places in turn], workers, 2)
    epochs: Epochs = [[] for _ in range(EPOCHS)]
    for epoch, turn in turns:
        for _ in turn:
            epochs[epoch] += cast(list[str], next(found))
    return epochs


READERS: Mapping[str, Reading] = {
    "webdataset": streamed,
    "webdataset, seeded": streamed_seeded,
    "webdataset, resampled": streamed_resampled,
    "training": by_index,
}


class _Keys:
    """Reads whole samples and hands over their keys."""

    def __init__(self, reader: ShardReader) -> None:
        self.reader = reader

    def __getitems__(self, places: Sequence[Place]) -> list[str]:
        return [self.reader.read(place.row).metadata.clip_id for place in places if place.counted]


def _plan(index: ShardIndex, ranks: int) -> BatchPlan:
    sizes = np.stack([index.width, index.height, index.frame_count], axis=1)
    bucket = np.unique(sizes, axis=0, return_inverse=True)[1].astype(np.int64)
    return BatchPlan(index.shard, bucket, np.arange(len(index)), SEED, ranks * BATCH_OF_RANK)


def _stream(dataset: Any, rank: int, ranks: int, workers: int) -> Epochs:
    loader: DataLoader[Any] = DataLoader(dataset.map(_key), batch_size=None, num_workers=workers, multiprocessing_context="fork" if workers else None)
    with _as_rank(rank, ranks):
        return [list(loader) for _ in range(EPOCHS)]


def _key(sample: Mapping[str, Any]) -> str:
    return str(sample["__key__"])


@contextmanager
def _as_rank(rank: int, ranks: int) -> Iterator[None]:
    with patch.dict(os.environ, {"RANK": str(rank), "WORLD_SIZE": str(ranks)}):
        yield


def _urls(shards: Path) -> list[str]:
    return list(read_index([str(shards)]).shard_urls)


def _attempt(read: Callable[[], Epochs]) -> str:
    """All samples once in an epoch, or what happens instead."""
    try:
        first = read()[0]
    except Exception as error:  # whatever a reader ends with is its figure
        return f"fails: {type(error).__name__}"
    finally:
        gc.collect()  # torch's iterator that failed, before it is forked into other workers
    return "reads all" if len(first) == len(set(first)) == FEW_SHARDS * DRAWN_PER_SHARD else f"{len(set(first))} of {FEW_SHARDS * DRAWN_PER_SHARD}"


def draw_shards(folder: Path, shards: int, per_shard: int) -> Path:
    """Shards of samples that nobody is going to decode."""
    folder.mkdir(parents=True)
    video = bytes(20_000)
    pieces = [stage(str(folder), _sample(f"clip{number:04d}", video)) for number in range(shards * per_shard)]
    plans, rows = fill(pieces, 0, max(piece.size for piece in pieces) * per_shard + 1024, SEED)
    for plan in plans:
        write_shard(str(folder), plan)
    write_shard_index(str(folder), rows, len(plans))
    tidy(str(folder), [plan.name for plan in plans])
    return folder


def _sample(key: str, video: bytes) -> Sample:
    metadata = SampleMetadata(key, "video", "shot", "track", "character", 0, 10**9, 16, 16.0, 64, 48, None, False, (), 0, "hash")
    return Sample(metadata, video, None, ())


def _print(found: Sequence[Order], shards: Path, ranks: int, workers: int) -> None:
    index = read_index([str(shards)])
    table = Table(title=f"{len(index)} samples in {len(index.shard_urls)} shards, {ranks} ranks, {workers} workers each")
    for column in ("", "repeatable", "new each epoch", "any workers", "per rank", "missed", "again", "few shards"):
        table.add_column(column)
    for order in found:
        flags = ["yes" if flag else "no" for flag in (order.repeatable, order.new_each_epoch, order.any_workers)]
        counts = [f"{order.fewest_of_a_rank} to {order.most_of_a_rank}", str(order.missed), str(order.seen_again)]
        table.add_row(order.reader, *flags, *counts, order.few_shards)
    Console(width=160).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
