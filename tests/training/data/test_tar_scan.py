import io
import tarfile
from pathlib import Path

import pytest
import webdataset

from schemas.sample import SampleError
from tests.training.data.made_tars import write_tar
from training.data.tar_scan import TarSample, scan

FILES = {
    "a.mp4": b"video",
    "a.JSON": b"{}",
    "deep/dir.v2/b.mp4": b"x" * 700,
    "deep/dir.v2/b.left.jpg": b"",
    "__meta__": b"of webdataset",
    "nosuffix": b"of nobody",
    "c.txt": b"c",
}


def scan_all(path: Path) -> list[TarSample]:
    with path.open("rb") as file:
        return list(scan(file))


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_and_where_they_lie(tmp_path: Path, tar_format: int) -> None:
    long = "very/" * 19 + "long/" + "n" * 120 if tar_format != tarfile.USTAR_FORMAT else "long"
    path = write_tar(tmp_path / "a.tar", FILES | {f"{long}.mp4": b"long name"}, tar_format)
    samples = scan_all(path)
    assert [(sample.key, list(sample.contents)) for sample in samples] == [
        ("a", ["mp4", "json"]),
        ("deep/dir.v2/b", ["mp4", "left.jpg"]),
        ("c", ["txt"]),
        (long, ["mp4"]),
    ]
    content = path.read_bytes()
    for sample in samples:
        for name, offset in sample.offsets.items():
            assert content[offset : offset + len(sample.contents[name])] == sample.contents[name]
        piece = io.BytesIO(content[sample.offset : sample.end] + bytes(1024))
        with tarfile.open(fileobj=piece) as archive:
            assert len(archive.getnames()) == len(sample.contents), "the bytes of a sample are a tar of their own"


def test_samples_are_those_of_webdataset(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", FILES)
    theirs = [
        (sample["__key__"], sorted(name for name in sample if not name.startswith("__"))) for sample in webdataset.WebDataset(str(path), shardshuffle=False)
    ]
    assert theirs == [(sample.key, sorted(sample.contents)) for sample in scan_all(path)]


def test_a_tar_that_is_cut_off_gives_what_is_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.mp4": b"1" * 600, "b.mp4": b"2" * 600, "c.mp4": b"3" * 600})
    content = path.read_bytes()
    for end, whole in ((512 + 1024 + 512 + 100, ["a"]), (512 + 1024 + 100, ["a"]), (2 * 1536 + 512, ["a", "b"])):
        path.write_bytes(content[:end])
        samples = []
        with path.open("rb") as file, pytest.raises(SampleError, match="cut off"):  # noqa: PT012
            for sample in scan(file):
                samples.append(sample.key)  # noqa: PERF401
        assert set(samples) <= set(whole)
        assert len(samples) >= len(whole) - 1


def test_a_damaged_header_is_noticed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.mp4": b"1", "b.mp4": b"2", "c.mp4": b"3"})
    content = bytearray(path.read_bytes())
    content[1024 + 20] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(SampleError, match="everything from a on is missing: it is no tar, compressed, damaged or cut off"):
        scan_all(path)


def test_what_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"\x1f\x8b no tar" * 200)
    with pytest.raises(SampleError, match="everything is missing: it is no tar, compressed, damaged or cut off"):
        scan_all(tmp_path / "a.tar")


def test_two_members_of_one_name_are_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.mp4": b"1", "a.MP4": b"2", "a.txt": b"3", "b.mp4": b"4"})
    assert [(sample.key, sample.repeated, sample.contents) for sample in scan_all(path)] == [
        ("a", "a.MP4", {"mp4": b"1", "txt": b"3"}),
        ("b", None, {"mp4": b"4"}),
    ]
