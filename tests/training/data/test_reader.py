import multiprocessing
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from schemas.sample import SampleError, SampleVersionError
from tests.pipeline.pack.made_samples import made_sample
from tests.training.data.counting_server import serve
from tests.training.data.made_shards import write_shards, write_small_shards
from training.data import reader as reader_module
from training.data.batches import BatchPlan
from training.data.index import read_index
from training.data.reader import ShardReader
from training.data.shard_cache import ShardCache
from training.errors import TrainingError

SAMPLES = {f"c{n}": made_sample(f"c{n}", audio=n % 2 == 0, anchors=n) for n in range(6)}


def reader_of(*urls: str | Path, cache: Path = Path("/nowhere"), max_bytes: int = 0) -> ShardReader:
    return ShardReader(read_index([str(url) for url in urls]), ShardCache(cache, max_bytes))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", SAMPLES.values(), 2)


def read_all(reader: ShardReader) -> bool:
    return all(reader.read(row) == SAMPLES[str(key)] for row, key in enumerate(reader.index.keys))


def test_what_was_packed_is_read(shards: Path) -> None:
    assert read_all(reader_of(shards))


def test_a_reader_is_sent_to_workers_and_forked(shards: Path) -> None:
    reader = reader_of(shards)
    assert read_all(reader)
    assert read_all(pickle.loads(pickle.dumps(reader)))
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_read_often, args=(reader,)) for _ in range(3)]
    for process in processes:
        process.start()
    _read_often(reader)
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def _read_often(reader: ShardReader) -> None:
    """Processes that share open files."""
    assert all(read_all(reader) for _ in range(20))


def test_few_shards_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "MOST_OPEN", 3)
    reader = reader_of(write_small_shards(tmp_path, 9, 1))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(2):
        for row in range(9):
            reader.read(row)
    assert len(os.listdir("/proc/self/fd")) - before == 3  # noqa: PTH208
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert reader.read(0).metadata.clip_id == reader.index.keys[0]


def test_remote_shards_are_fetched_about_once_per_epoch(tmp_path: Path) -> None:
    """The cache holds few more shards than are shuffled together, and the buckets make batches wait for one another."""
    folder = write_small_shards(tmp_path / "shards", 12, 8, sizes=((64, 48), (64, 48), (48, 64)))
    shard_bytes = max(path.stat().st_size for path in folder.glob("*.tar"))
    with serve(folder) as server:
        reader = reader_of(server.url, cache=tmp_path / "cache", max_bytes=5 * shard_bytes)
        assert len(reader.index.shard_urls) == 12
        plan = BatchPlan(reader.index.shard, reader.index.width, np.arange(len(reader.index)), seed=0, batch_size=4, block_shards=3)
        seen = []
        for step in plan.steps():
            if step.epoch:
                break
            for row in step.rows:
                seen.append(reader.read(int(row)).metadata.clip_id)
                reader.close()  # what is open needs no cache: try the cache
        assert sorted(seen) == sorted(reader.index.keys.tolist())
        fetched = {name: count for name, count in server.gets.items() if name.endswith(".tar")}
        assert len(fetched) == 12
        assert sum(fetched.values()) <= 12 * 1.25


def rows_of(reader: ShardReader, shard: int) -> list[int]:
    return [row for row in range(len(reader.index)) if reader.index.shard[row] == shard]


def test_a_shard_that_is_cut_off_loses_only_what_is_gone(shards: Path) -> None:
    reader = reader_of(shards)
    first, last = rows_of(reader, 0)[0], rows_of(reader, 0)[-1]
    path = Path(reader.index.shard_urls[0])
    path.write_bytes(path.read_bytes()[: int(reader.index.offset[last]) + 700])
    assert reader.read(first) == SAMPLES[str(reader.index.keys[first])]
    with pytest.raises(SampleError, match=rf"{reader.index.keys[last]}: the shard ends at byte \d+, .* it was cut off.* \(in {path}\)"):
        reader.read(last)


def test_changed_bytes_name_shard_key_and_member(shards: Path) -> None:
    reader = reader_of(shards)
    path = Path(reader.index.shard_urls[0])
    content = bytearray(path.read_bytes())
    member = next(member for member in reader.index.members(0) if member.name == "mp4")
    content[member.offset + 9] ^= 1
    path.write_bytes(content)
    key = reader.index.keys[0]
    with pytest.raises(SampleError, match=rf"{key}: {key}\.mp4 is damaged: .* \(in {path}\)"):
        reader.read(0)


def test_a_missing_member_is_named(shards: Path) -> None:
    table = pq.read_table(shards / "index.parquet")
    rows = table.to_pylist()
    place = rows[0]["member_names"].index("mp4")
    for name in ("member_names", "member_offsets", "member_sizes"):
        rows[0][name].pop(place)
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), shards / "index.parquet")
    with pytest.raises(SampleError, match=rf"lacks {rows[0]['key']}\.mp4 \(in "):
        reader_of(shards).read(0)


def test_another_version_keeps_its_type(shards: Path) -> None:
    reader = reader_of(shards)
    path = Path(reader.index.shard_urls[0])
    path.write_bytes(path.read_bytes().replace(b'"version": 2', b'"version": 9'))
    with pytest.raises(SampleVersionError, match=r"has version 9, .* upgrade gloria-anchors to read it"):
        reader.read(0)


def test_a_missing_shard_is_not_a_damaged_sample(shards: Path) -> None:
    reader = reader_of(shards)
    Path(reader.index.shard_urls[1]).unlink()
    with pytest.raises(TrainingError, match=r"shard-000001\.tar: there is no such file; check the path or URL"):
        reader.read(rows_of(reader, 1)[0])
    assert reader.read(rows_of(reader, 0)[0])


def test_a_sample_that_is_not_what_the_index_says(tmp_path: Path) -> None:
    sample = made_sample("a")
    folder = write_shards(tmp_path, [sample], 1)
    reader = reader_of(folder)
    wrong = ShardReader(replace(reader.index, width=reader.index.width + 16), reader.cache)
    with pytest.raises(SampleError, match=r"a: has 4 frames of 64x48, by the index 4 of 80x48: index the shards again"):
        wrong.read(0)
