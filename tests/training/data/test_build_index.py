import io
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import fsspec
import numpy as np
import pytest
from rich.console import Console

from pipeline.pack.shards import read_shard_index
from schemas.latents import LATENTS, Latents, LatentsKey
from schemas.sample import Sample, build_sample, member_name
from tests.pipeline.pack.made_samples import made_sample
from tests.training.data.made_shards import write_shards
from tests.training.data.made_tars import movie, write_tar
from training.data.build_index import build_index
from training.data.index import read_index
from training.data.reader import ShardReader
from training.data.shard_cache import ShardCache
from training.errors import TrainingError

MOVIE = movie()
KEY = LatentsKey("codec", None, None, None, 4096)


def built(shards: Sequence[str | Path], out: str | None = None) -> tuple[str, str]:
    """The index, and what was said."""
    said = io.StringIO()
    return build_index([str(each) for each in shards], out, Console(file=said, width=1000)), said.getvalue()


def reader_of(url: str, cache: Path = Path("/nowhere")) -> ShardReader:
    return ShardReader(read_index([url]), ShardCache(cache, 10**9))


def own_files(samples: Sequence[Sample]) -> dict[str, bytes]:
    return {member_name(sample.metadata.clip_id, name): content for sample in samples for name, content in build_sample(sample).items()}


def with_latents(key: str, latents_key: LatentsKey) -> Sample:
    sample = made_sample(key)
    content = Latents(np.zeros((4, 1, 6, 8), np.float32), np.zeros((2, 4, 6, 8), np.float32), None, None, None, latents_key).to_bytes()
    return replace(sample, metadata=replace(sample.metadata, latents=True), latents=content)


def test_the_index_is_that_of_pack(tmp_path: Path) -> None:
    samples = [made_sample(f"c{n}", audio=n % 2 == 0, anchors=n) for n in range(6)]
    folder = write_shards(tmp_path, samples, 2)
    expected = read_shard_index(str(folder))
    (folder / "index.parquet").unlink()
    url, said = built([folder])
    assert url == str(folder / "index.parquet")
    assert read_shard_index(str(folder)) == expected
    assert f"{url}: 6 samples in {len({row['shard'] for row in expected})} shards" in said
    assert "shard-000000.tar: " in said


def test_our_samples_packed_again_by_others(tmp_path: Path) -> None:
    samples = {f"c{n}": made_sample(f"c{n}", anchors=n) for n in range(3)}
    write_tar(tmp_path / "mine.tar", dict(sorted(own_files(list(samples.values())).items())), tarfile.GNU_FORMAT)
    reader = reader_of(built([tmp_path / "mine.tar"])[0])
    assert [reader.read(row) == samples[str(key)] for row, key in enumerate(reader.index.keys)] == [True] * 3


def test_videos_with_captions(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "0.tar",
        {"x/a.mp4": MOVIE, "x/a.txt": b"a caption", "x/b.mp4": movie(5, 96, 64, 10, 440), "x/b.json": b'{"text": "b", "character_id": "zoe"}'},
    )
    reader = reader_of(built([tmp_path])[0])
    index = reader.index
    assert index.keys.tolist() == ["x/a", "x/b"]
    assert list(zip(index.width, index.height, index.frame_count, index.frame_rate, index.audio, strict=True)) == [
        (64, 48, 7, 8.0, False),
        (96, 64, 5, 10.0, True),
    ]
    assert index.character_id.tolist() == ["x/a", "zoe"]
    assert index.has_pixels.all()
    a, b = reader.read(0), reader.read(1)
    assert (a.metadata.caption, a.video, b.metadata.caption, b.metadata.character_id) == ("a caption", MOVIE, "b", "zoe")
    assert b.audio is not None


def test_shards_anywhere(tmp_path: Path) -> None:
    name = uuid4().hex
    memory = fsspec.filesystem("memory")
    write_tar(tmp_path / "local" / "0.tar", {"a.mp4": MOVIE})
    memory.pipe_file(f"/{name}/1.tar", write_tar(tmp_path / "1.tar", {"b.mp4": MOVIE}).read_bytes())
    local = tmp_path / "local" / "0.tar"
    url, _ = built([str(local), f"memory://{name}/*.tar"], str(tmp_path / "indexes" / "both.parquet"))
    reader = reader_of(url, tmp_path / "cache")
    assert set(reader.index.shard_urls) == {str(local), f"memory:///{name}/1.tar"}
    assert {reader.read(row).metadata.clip_id for row in range(2)} == {"a", "b"}
    beside, _ = built([f"memory://{name}"])
    assert beside == f"memory://{name}/index.parquet"
    assert reader_of(beside, tmp_path / "cache").read(0).video == MOVIE


def test_keys_that_every_tar_counts_from_0(tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"{number}.tar", {"000.mp4": movie(5 + number), "001.mp4": MOVIE, f"only{number}.mp4": MOVIE})
    reader = reader_of(built([tmp_path])[0])
    assert sorted(reader.index.keys.tolist()) == ["0/000", "0/001", "1/000", "1/001", "only0", "only1"]
    assert reader.index.character_id.tolist() == reader.index.keys.tolist()
    assert {str(key): reader.read(row).metadata.frame_count for row, key in enumerate(reader.index.keys)} | {"0/000": 5, "1/000": 6} == {
        "0/000": 5, "0/001": 7, "1/000": 6, "1/001": 7, "only0": 7, "only1": 7
    }  # fmt: skip


def test_ours_twice_is_taken_once(tmp_path: Path) -> None:
    for number in range(2):
        write_tar(tmp_path / f"{number}.tar", own_files([made_sample("a"), made_sample(f"b{number}")]))
    url, said = built([tmp_path])
    assert sorted(read_index([url]).keys.tolist()) == ["a", "b0", "b1"]
    assert "left out: a: is there twice, in 0.tar and in 1.tar; the first is taken" in said


def test_what_is_damaged_is_named_and_left_out(tmp_path: Path) -> None:
    whole = own_files([made_sample("a"), made_sample("b")])
    write_tar(tmp_path / "0.tar", whole | {"b.mp4": whole["b.mp4"][:-1] + b"x"})
    write_tar(tmp_path / "1.tar", {"c.txt": b"no video", "d.mp4": b"no video", "e.mp4": MOVIE})
    write_tar(tmp_path / "2.tar", {"f.mp4": MOVIE, "g.mp4": MOVIE, "h.mp4": MOVIE})
    path = tmp_path / "2.tar"
    path.write_bytes(path.read_bytes()[: 3 * (512 + -(-len(MOVIE) // 512) * 512) - 700])
    url, said = built([tmp_path])
    assert read_index([url]).keys.tolist()[:2] == ["a", "e"]
    for problem in ("b: b.mp4 is damaged", "c: has no video", "d: d.mp4 cannot be decoded", "2.tar: everything from "):
        assert f"left out: {problem}" in said.replace(f"{tmp_path}/", ""), problem
    assert said.splitlines()[-1].endswith("3 left out; what else 1 of these shards held is missing")


def test_a_sample_with_two_captions_is_left_out_alone(tmp_path: Path) -> None:
    keys = ["a", "b", "c", "d", "e"]
    path = tmp_path / "0.tar"
    with tarfile.open(path, "w") as archive:
        for key in keys:
            for suffix, content in (("mp4", MOVIE), *[("txt", key.encode())] * (2 if key == "b" else 1)):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    url, said = built([path])
    assert read_index([url]).keys.tolist() == ["a", "c", "d", "e"]
    assert [line for line in said.splitlines() if line.startswith("left out")] == [
        f"left out: b: has two members b.txt; webdataset would not know which (in {path})"
    ]
    assert said.splitlines()[-1].endswith("4 samples in 1 shards, 1 left out")
    assert [reader_of(url).read(row).metadata.caption for row in range(4)] == ["a", "c", "d", "e"]


def test_latents_keep_their_key(tmp_path: Path) -> None:
    write_tar(tmp_path / "a" / "0.tar", own_files([with_latents("a", KEY), with_latents("b", KEY)]))
    index = read_index([built([tmp_path / "a"])[0]])
    assert index.latents_key == KEY
    assert index.has_latents.all()
    assert LATENTS in index.member_names
    write_tar(tmp_path / "b" / "0.tar", own_files([with_latents("a", KEY), with_latents("b", LatentsKey("other", None, None, None, 4096))]))
    with pytest.raises(TrainingError, match="come from different networks: codec other instead of codec"):
        built([tmp_path / "b"])


def test_what_cannot_be_indexed_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"there is no \.tar in "):
        built([tmp_path])
    with pytest.raises(TrainingError, match="no such file"):
        built([tmp_path / "none.tar"])
    with pytest.raises(TrainingError, match=r"is compressed, .* unpack it"):
        built([tmp_path / "a.tar.gz"])
    write_tar(tmp_path / "a" / "0.tar", {"a.txt": b"x"})
    with pytest.raises(TrainingError, match="none of 1 tars has a sample"):
        built([tmp_path / "a"])
    write_tar(tmp_path / "b" / "0.tar", {"b.mp4": MOVIE})
    with pytest.raises(TrainingError, match="lie in 2 folders; say with --out"):
        built([tmp_path / "a", tmp_path / "b"])
    built([tmp_path / "b"])
    with pytest.raises(TrainingError, match="is there already: train on it, or remove it"):
        built([tmp_path / "b"])
