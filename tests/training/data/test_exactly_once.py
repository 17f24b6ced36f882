"""Reading as the trainer does it, with workers and ranks: every sample once per epoch, and the order of one rank without workers."""

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tests.training.data.counting_server import serve
from tests.training.data.made_shards import write_small_shards
from training.data.batches import BatchPlan, Step, micro_batches
from training.data.dataset import ShardDataset
from training.data.index import read_index
from training.data.loader import micro_batches as load
from training.data.places import Place
from training.data.reader import ShardReader
from training.data.shard_cache import ShardCache

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

EPOCHS = 2
SIZES = ((64, 48), (64, 48), (48, 64))


class Keys:
    """Reads whole samples and hands over their keys; those of stand-ins are not read."""

    def __init__(self, reader: ShardReader) -> None:
        self.reader = reader

    def __getitems__(self, places: Sequence[Place]) -> list[str]:
        return [self.reader.read(place.row).metadata.clip_id for place in places if place.counted]


def reader_of(folder: Path | str, cache: Path) -> ShardReader:
    return ShardReader(read_index([str(folder)]), ShardCache(cache, 10**9))


def plan_of(reader: ShardReader) -> BatchPlan:
    return BatchPlan(reader.index.shard, reader.index.width, np.arange(len(reader.index)), seed=5, batch_size=4, block_shards=2)


def steps_of(plan: BatchPlan, position: int = 0) -> list[Step]:
    return list(takewhile(lambda step: step.epoch < EPOCHS, plan.steps(position)))


def read_on(reader: ShardReader, steps: Sequence[Step], ranks: int, workers: int) -> list[list[str]]:
    """The keys of each step, over all ranks."""
    keys: list[list[str]] = [[] for _ in steps]
    for rank in range(ranks):
        turns = [micro_batches(step, rank, ranks, 1) for step in steps]
        found = load(cast(ShardDataset, Keys(reader)), [places for turn in turns for places in turn], workers, 2)
        for number, turn in enumerate(turns):
            for _ in turn:
                keys[number] += cast(list[Any], next(found))
        assert next(found, None) is None
    return keys


@pytest.mark.parametrize("shards", [1, 7])
@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_each_sample_once_per_epoch(tmp_path: Path, ranks: int, workers: int, shards: int) -> None:
    folder = write_small_shards(tmp_path / "shards", shards, 14 // shards, SIZES)
    reader = reader_of(folder, tmp_path / "cache")
    steps = steps_of(plan_of(reader))
    found = read_on(reader, steps, ranks, workers)
    for epoch in range(EPOCHS):
        seen = Counter(key for step, keys in zip(steps, found, strict=True) if step.epoch == epoch for key in keys)
        assert seen == dict.fromkeys(reader.index.keys.tolist(), 1)
    assert found == [[reader.index.keys[row] for row in step.rows] for step in steps]


def test_ranks_and_workers_may_change_in_the_middle(tmp_path: Path) -> None:
    reader = reader_of(write_small_shards(tmp_path / "shards", 5, 4, SIZES), tmp_path / "cache")
    plan = plan_of(reader)
    alone = read_on(reader, steps_of(plan), 1, 0)
    found, position = [], 0
    for ranks, workers in ((2, 1), (1, 3), (3, 0), (2, 2)):
        steps = steps_of(plan, position)[:3]
        found += read_on(reader, steps, ranks, workers)
        position = steps[-1].position_after
    assert found == alone[: len(found)]


def test_workers_of_all_ranks_fetch_a_shard_once(tmp_path: Path) -> None:
    folder = write_small_shards(tmp_path / "shards", 6, 3, SIZES)
    with serve(folder, seconds=0.01) as server:
        reader = reader_of(server.url, tmp_path / "cache")
        steps = steps_of(plan_of(reader))
        found = read_on(reader, steps, 2, 3)
        assert Counter(key for keys in found for key in keys) == dict.fromkeys(reader.index.keys.tolist(), EPOCHS)
        assert {name: count for name, count in server.gets.items() if name.endswith(".tar")} == {f"shard-{number:06d}.tar": 1 for number in range(6)}
