"""Which samples there are to encode, and what is said when that cannot be known."""

from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from rich.console import Console

from jobs.encode_inputs import input_folder, read_inputs
from jobs.encode_work import read_sample
from pipeline import storage
from pipeline.pack import shards as shard_files
from schemas.sample import Sample, build_sample
from schemas.yaml_options import OptionsError
from tests.jobs.encode_root import some_samples, write_shards
from tests.training.data.made_tars import movie, write_tar
from training.data.build_index import build_index


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shards(tmp_path / "packed" / "shards", some_samples(7))
    return tmp_path / "packed" / "shards"


def test_every_sample_is_found_where_it_lies(shards: Path) -> None:
    found = read_inputs([str(shards)])
    assert {sample.key for sample in found} == {f"clip-{number}" for number in range(7)}
    assert len({sample.uri for sample in found}) > 1
    assert found == sorted(found, key=lambda sample: (sample.uri, sample.offset))
    originals = {sample.metadata.clip_id: sample for sample in some_samples(7)}
    for sample in found:
        with storage.open_read(sample.uri) as file:
            assert read_sample(sample, file) == originals[sample.key]
        assert (sample.seconds, sample.video_id, sample.sample_hash) == (0.25, "video", f"made-{sample.key[5:]}")


def test_folders_indexes_output_roots_and_urls_are_the_same(shards: Path) -> None:
    found = read_inputs([str(shards)])
    for url in (f"{shards}/", str(shards / "index.parquet"), str(shards.parent), shards.as_uri()):
        assert [(sample.key, Path(sample.uri.removeprefix("file://"))) for sample in read_inputs([url])] == [(sample.key, Path(sample.uri)) for sample in found]
    assert input_folder(str(shards.parent)) == input_folder(str(shards)) == str(shards)


def test_shards_elsewhere(shards: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(f"{shards}/", "/elsewhere/", recursive=True)
    assert {sample.uri for sample in read_inputs(["memory://elsewhere"])} == {f"memory://elsewhere/{path.name}" for path in shards.glob("*.tar")}
    memory.rm("/elsewhere", recursive=True)


def test_an_index_may_name_shards_by_their_urls(shards: Path, tmp_path: Path) -> None:
    rows = [row | {"shard": str(shards / row["shard"])} for row in shard_files.read_shard_index(str(shards))]
    shard_files.write_shard_index(str(tmp_path / "index"), rows, 0)
    assert read_inputs([str(tmp_path / "index")]) == read_inputs([str(shards)])


def test_no_index_says_how_to_get_one(shards: Path) -> None:
    (shards / "index.parquet").unlink()
    for url in (shards, shards / "shard-000000.tar", shards / "index.parquet"):
        with pytest.raises(OptionsError, match=rf"--shards {url}: there is no (such )?index.*only samples of `pack` can be encoded.*python -m training index"):
            read_inputs([str(url)])


def test_an_index_that_is_none(shards: Path) -> None:
    (shards / "index.parquet").write_bytes(b"no parquet")
    with pytest.raises(OptionsError, match=r"index\.parquet is no index of shards that this release reads"):
        read_inputs([str(shards)])


def test_a_sample_that_is_there_twice(shards: Path, tmp_path: Path) -> None:
    write_shards(tmp_path / "other", some_samples(1))
    with pytest.raises(OptionsError, match=r"the sample clip-0 is in .*packed.* and in .*other"):
        read_inputs([str(shards), str(tmp_path / "other")])


@pytest.mark.parametrize("names", [("mp4", "txt"), ("mov", "txt"), ("mkv", "json")])
def test_samples_of_others(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_tar(tmp_path / "0.tar", {f"theirs.{name}": movie(container={"mkv": "matroska"}.get(name, name)) if name[0] == "m" else b"{}" for name in names})
    build_index([str(tmp_path)], None, Console(quiet=True))
    with pytest.raises(
        OptionsError, match=r"1 samples are not of `pack`, theirs for one, and only those of `pack` can be encoded; train on the others as they are"
    ):
        read_inputs([str(tmp_path)])


def test_our_samples_in_other_tars(shards: Path) -> None:
    found = read_inputs([str(shards)])
    (shards / "index.parquet").unlink()
    build_index([str(shards)], None, Console(quiet=True))
    assert read_inputs([str(shards)]) == found


def test_samples_without_pixels(tmp_path: Path) -> None:
    (sample,) = some_samples(1)
    bare = Sample(replace(sample.metadata, pixels=False, latents=True), None, None, (), b"latents")
    assert list(build_sample(bare)) == ["json", "latents.safetensors"]
    write_shards(tmp_path / "bare", [bare])
    with pytest.raises(OptionsError, match=r"1 samples have no pixels to encode, clip-0 for one; give the shards that these were made from"):
        read_inputs([str(tmp_path / "bare")])
