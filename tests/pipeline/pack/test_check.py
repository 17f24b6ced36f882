from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.pack.check import check_coverage, check_files, check_shard
from pipeline.pack.shards import Row, fill, stage, write_shard
from schemas.sample import Sample, SampleMetadata
from tests.pipeline.pack.made_samples import made_sample

SHARD = "shard-000000.tar"


def packed(folder: Path, *samples: Sample) -> list[Row]:
    plans, rows = fill([stage(str(folder), sample) for sample in samples], 0, 10**9, seed=0)
    write_shard(str(folder), plans[0])
    return rows


def test_good_shards_have_no_problems(tmp_path: Path) -> None:
    rows = packed(tmp_path, made_sample("a"), made_sample("b", audio=False), made_sample("c", anchors=0))
    assert check_shard(str(tmp_path), SHARD, rows) == []
    assert check_files(str(tmp_path), rows) == []
    assert check_coverage(rows, {"a", "b", "c", "d"}, {"d"}) == []


def test_a_flipped_byte_in_any_member_is_found(tmp_path: Path) -> None:
    rows = packed(tmp_path, made_sample("a"))
    good = (tmp_path / SHARD).read_bytes()
    for name, offset, size in zip(rows[0]["member_names"], rows[0]["member_offsets"], rows[0]["member_sizes"], strict=True):
        damaged = bytearray(good)
        damaged[offset : offset + size // 2] = bytes(size // 2)
        (tmp_path / SHARD).write_bytes(damaged)
        assert check_shard(str(tmp_path), SHARD, rows), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row | {"member_offsets": [offset + 1 for offset in row["member_offsets"]]}, "byte range of a.json is not where the shard has it"),
        (lambda row: row | {"member_sizes": [row["member_sizes"][0] - 1, *row["member_sizes"][1:]]}, "byte range of a.json is not where"),
        (lambda row: row | {"member_names": row["member_names"][:-1]}, "the index has the members json, mp4, flac, anchor-00.jpg, the shard"),
        (lambda row: row | {"offset": 512}, "the index's offset and size of the sample do not agree"),
        (lambda row: row | {"size": row["size"] + 512}, "the index's offset and size of the sample do not agree"),
        (lambda row: row | {"sample_hash": "other"}, "the index says sample_hash 'other', the sample 'hash'"),
        (lambda row: row | {"anchors_outside": 2}, "the index says anchors_outside 2, the sample 0"),
        (lambda row: row | {"key": "b"}, "a: is in the shard but not in the index"),
    ],
)
def test_an_index_that_does_not_agree_is_found(tmp_path: Path, change: Callable[[Row], Row], message: str) -> None:
    rows = packed(tmp_path, made_sample("a"))
    assert any(message in problem for problem in check_shard(str(tmp_path), SHARD, [change(rows[0])]))


def with_metadata(sample: Sample, **changes: Any) -> Sample:
    metadata: SampleMetadata = replace(sample.metadata, **changes)
    return replace(sample, metadata=metadata)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (with_metadata(made_sample("a"), frame_count=5), "the video has 4 frames, not 5"),
        (with_metadata(made_sample("a"), frame_rate=25.0), "the video has 16 frames per second, not 25"),
        (with_metadata(made_sample("a"), width=48, height=64), "the video's frames are 64x48, not 48x64"),
        (with_metadata(made_sample("a"), frame_count=5), "the audio has 4000 samples at 16000 Hz on 1 channels, not 5000"),
        (with_metadata(made_sample("a"), width=48), "anchor-00.jpg is JPEG RGB 64x48, not JPEG RGB 48x48"),
        (replace(made_sample("a"), video=b"no video"), "the video cannot be decoded"),
        (replace(made_sample("a"), audio=b"no audio"), "the audio cannot be decoded"),
        (replace(made_sample("a"), anchors=(b"no picture",) * 2), "anchor-00.jpg cannot be decoded"),
    ],
)
def test_content_that_breaks_the_contract_is_found(tmp_path: Path, sample: Sample, message: str) -> None:
    rows = packed(tmp_path, sample, made_sample("good"))
    problems = check_shard(str(tmp_path), SHARD, rows)
    assert any(message in problem for problem in problems)
    assert all(problem.startswith(f"{SHARD}: a: ") for problem in problems)


def test_missing_truncated_and_foreign_shards_are_found(tmp_path: Path) -> None:
    rows = packed(tmp_path, made_sample("a"), made_sample("b"))
    (tmp_path / "shard-000009.tar").write_bytes(b"")
    assert check_files(str(tmp_path), rows) == ["shard-000009.tar: is not in the index"]
    (tmp_path / "shard-000009.tar").unlink()
    content = (tmp_path / SHARD).read_bytes()
    (tmp_path / SHARD).write_bytes(content[: len(content) // 2])
    assert "by the index it should have" in check_files(str(tmp_path), rows)[0]
    assert any("cannot be read to its end" in problem for problem in check_shard(str(tmp_path), SHARD, rows))
    (tmp_path / SHARD).unlink()
    assert check_files(str(tmp_path), rows) == [f"{SHARD}: is in the index, but the file is not there"]
    assert check_shard(str(tmp_path), SHARD, rows)


def test_samples_twice_are_found(tmp_path: Path) -> None:
    rows = packed(tmp_path, made_sample("a"), made_sample("b"))
    assert check_files(str(tmp_path), [*rows, rows[0]]) == [f"{rows[0]['key']}: is in the index 2 times"]
    content = (tmp_path / SHARD).read_bytes()
    (tmp_path / SHARD).write_bytes(content[:-1024] + content[: rows[0]["size"]] + content[-1024:])
    assert any("twice" in problem for problem in check_shard(str(tmp_path), SHARD, rows))


def test_clips_without_a_sample_and_samples_without_a_clip_are_found() -> None:
    problems = check_coverage([{"key": "a"}, {"key": "x"}], {"a", "b", "c"}, {"c"})
    assert problems == [
        "b: is an accepted clip, but neither in a shard nor among the failures: run pack",
        "x: is in a shard, but not an accepted clip: run pack",
    ]
