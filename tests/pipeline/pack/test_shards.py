import random
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from pipeline.failures import InputError
from pipeline.pack import shards as shard_files
from pipeline.pack.shards import Piece, fill, find_staged, next_number, read_shard_index, shard_sizes, stage, staged_uri, tidy, write_shard, write_shard_index
from pipeline.pack.tar import END, write_piece
from schemas.sample import parse_sample
from schemas.table import write_table
from schemas.tables import SHARD_INDEX
from tests.pipeline.pack.made_samples import made_sample


def piece(key: str, size: int) -> Piece:
    return Piece({"key": key, "shard": "staged", "offset": 0, "size": size, "member_offsets": [512]}, f"/{key}")


def test_a_staged_sample_is_found_again(tmp_path: Path) -> None:
    shards = str(tmp_path / "shards")
    staged = stage(shards, made_sample("a", sample_hash="h1"))
    assert find_staged(shards, "a", "h1") == staged
    assert find_staged(shards, "a", "h2") is None
    assert find_staged(shards, "b", "h1") is None
    assert (staged.row["frame_count"], staged.row["audio"], staged.row["anchors_viewpoint"], staged.row["anchors_outside"]) == (4, True, 2, 0)


def test_what_was_staged_wrongly_is_not_taken(tmp_path: Path) -> None:
    shards = str(tmp_path)
    Path(stage(shards, made_sample("a", sample_hash="h1")).uri).rename(tmp_path / ".staging" / "a-h2.tar")
    assert find_staged(shards, "a", "h2") is None
    uri = Path(stage(shards, made_sample("a", sample_hash="h3")).uri)
    uri.write_bytes(uri.read_bytes()[:-512])
    assert find_staged(shards, "a", "h3") is None


def test_filling_does_not_depend_on_the_order_of_completion() -> None:
    pieces = [piece(f"clip{n}", 1000 + n) for n in range(50)]
    plans, rows = fill(pieces, 0, 5000, seed=3)
    assert fill(random.Random(0).sample(pieces, 50), 0, 5000, seed=3) == (plans, rows)
    assert fill(pieces, 0, 5000, seed=4) != (plans, rows)
    assert [row["key"] for row in rows] != sorted(row["key"] for row in rows)
    assert sorted(row["key"] for row in rows) == sorted(p.key for p in pieces)
    assert [plan.name for plan in plans] == [f"shard-{n:06d}.tar" for n in range(len(plans))]
    assert all(sum(size for _, _, size in plan.ranges) + len(END) <= 5000 for plan in plans)
    assert all(len(plan.ranges) == 3 for plan in plans[:-1])


def test_a_sample_larger_than_a_shard_gets_one_of_its_own() -> None:
    plans, _ = fill([piece("a", 9000), piece("b", 100), piece("c", 100)], 7, 1500, seed=0)
    assert sorted(len(plan.ranges) for plan in plans) in ([1, 2], [1, 1, 1])
    assert plans[0].name == "shard-000007.tar"
    assert fill([], 0, 1500, seed=0) == ([], [])


def test_a_shard_is_its_samples_and_the_index_points_into_it(tmp_path: Path) -> None:
    shards = str(tmp_path)
    samples = {f"c{n}": made_sample(f"c{n}", audio=n % 2 == 0, anchors=n) for n in range(6)}
    plans, rows = fill([stage(shards, sample) for sample in samples.values()], 0, 20_000, seed=0)
    assert len(plans) > 1
    sizes = {plan.name: write_shard(shards, plan) for plan in plans}
    assert shard_sizes(rows) == sizes == {plan.name: (tmp_path / plan.name).stat().st_size for plan in plans}
    write_shard_index(shards, rows, len(plans))
    index = read_shard_index(shards)
    assert index == sorted(rows, key=lambda row: (row["shard"], row["offset"]))
    for row in index:
        content = (tmp_path / row["shard"]).read_bytes()
        ranges = zip(row["member_names"], row["member_offsets"], row["member_sizes"], strict=True)
        assert parse_sample(row["key"], {name: content[offset : offset + size] for name, offset, size in ranges}) == samples[row["key"]]
    for plan in plans:
        with tarfile.open(tmp_path / plan.name) as archive:
            names = [info.name.split(".")[0] for info in archive]
        assert list(dict.fromkeys(names)) == [row["key"] for row in index if row["shard"] == plan.name]


def test_samples_move_from_an_old_shard_into_a_new_one(tmp_path: Path) -> None:
    shards = str(tmp_path)
    plans, rows = fill([stage(shards, made_sample(key)) for key in "abc"], 0, 10**6, seed=0)
    write_shard(shards, plans[0])
    old = [Piece(row, str(tmp_path / row["shard"])) for row in rows if row["key"] != "b"]
    plans, moved = fill([*old, stage(shards, made_sample("d"))], 1, 10**6, seed=0)
    write_shard(shards, plans[0])
    content = (tmp_path / "shard-000001.tar").read_bytes()
    assert sorted(row["key"] for row in moved) == ["a", "c", "d"]
    for row in moved:
        ranges = zip(row["member_names"], row["member_offsets"], row["member_sizes"], strict=True)
        assert parse_sample(row["key"], {name: content[offset : offset + size] for name, offset, size in ranges}) == made_sample(row["key"])


def test_a_piece_that_ends_early_is_an_error_and_leaves_no_shard(tmp_path: Path) -> None:
    shards = str(tmp_path)
    staged = stage(shards, made_sample("a"))
    Path(staged.uri).write_bytes(Path(staged.uri).read_bytes()[:1000])
    plans, _ = fill([staged], 0, 10**6, seed=0)
    with pytest.raises(InputError, match="bytes early"):
        write_shard(shards, plans[0])
    assert not (tmp_path / "shard-000000.tar").exists()


def test_a_shard_is_never_held_in_memory(tmp_path: Path) -> None:
    uri = tmp_path / "large"
    with uri.open("wb") as file:
        write_piece(file, "a", {"mp4": bytes(60_000_000)})
    row: dict[str, Any] = {"key": "a", "shard": "large", "offset": 0, "size": uri.stat().st_size, "member_offsets": [512]}
    plans, _ = fill([Piece(row, str(uri))], 0, 10**6, seed=0)
    tracemalloc.start()
    try:
        write_shard(str(tmp_path), plans[0])
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert (tmp_path / "shard-000000.tar").stat().st_size == uri.stat().st_size + len(END)


def test_tidying_removes_all_that_the_index_does_not_know(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    stage(str(shards), made_sample("a"))
    for name in ("shard-000000.tar", "shard-000001.tar", "index.parquet", ".shard-000002.tar.0123.gloria-partial"):
        (shards / name).write_bytes(b"x")
    assert tidy(str(shards), {"shard-000000.tar"}) == 1
    assert sorted(path.name for path in shards.iterdir()) == ["index.parquet", "shard-000000.tar"]
    assert tidy(str(shards), {"shard-000000.tar"}) == 0
    assert tidy(str(tmp_path / "nowhere"), set()) == 0


def test_numbers_and_names() -> None:
    assert [shard_files.shard_number(shard_files.shard_name(number)) for number in (0, 7, 1_234_567)] == [0, 7, 1_234_567]
    assert staged_uri("s3://bucket/shards", "k", "h") == "s3://bucket/shards/.staging/k-h.tar"


def test_no_index_is_an_empty_one(tmp_path: Path) -> None:
    assert read_shard_index(str(tmp_path)) == []
    assert next_number(str(tmp_path)) == 0


def test_the_index_remembers_the_next_number_when_its_shards_are_gone(tmp_path: Path) -> None:
    shards = str(tmp_path)
    table = write_shard_index(shards, [], 7)
    assert next_number(shards) == 7
    assert read_shard_index(shards) == table.to_pylist() == []


def test_an_index_without_a_note_goes_on_after_its_shards(tmp_path: Path) -> None:
    shards = str(tmp_path)
    _, rows = fill([stage(shards, made_sample("a"))], 4, 10**6, seed=0)
    with (tmp_path / "index.parquet").open("wb") as file:
        write_table(SHARD_INDEX, SHARD_INDEX.from_rows(rows), file)
    assert next_number(shards) == 5
