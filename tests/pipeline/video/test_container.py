import pickle
from collections.abc import Callable
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
from PIL import Image

from pipeline.video.container import VideoError, file_system, open_video
from pipeline.video.index import read_index
from schemas.vocabulary import FailureKind
from tests.barcode import Kind, Written


def failure(path: Path | str) -> VideoError:
    with pytest.raises(VideoError) as caught:
        read_index(str(path))
    assert str(path) in str(caught.value)
    return caught.value


def write_sound(path: Path, codec: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44100)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16p", layout="mono")
        samples.sample_rate = 44100
        container.mux([*stream.encode(samples), *stream.encode(None)])  # type: ignore[union-attr, arg-type]


def test_missing_files_folders_and_empty_files(tmp_path: Path) -> None:
    assert failure(tmp_path / "missing.mp4").kind is FailureKind.NOT_FOUND
    assert failure(tmp_path).kind is FailureKind.NOT_A_VIDEO
    (tmp_path / "empty.mp4").touch()
    empty = failure(tmp_path / "empty.mp4")
    assert empty.kind is FailureKind.NOT_A_VIDEO
    assert "empty" in str(empty)


def test_texts_and_pictures_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello world\n" * 1000)
    (tmp_path / "text.txt").write_text("hello world\n" * 1000)
    picture = Image.new("RGB", (64, 64))
    picture.save(tmp_path / "picture.png")
    picture.save(tmp_path / "picture.mp4", format="JPEG")
    for path in tmp_path.iterdir():
        assert failure(path).kind is FailureKind.NOT_A_VIDEO


def test_sound_with_and_without_a_cover_picture_has_no_video_stream(tmp_path: Path) -> None:
    sound, covered, cover = tmp_path / "sound.mp3", tmp_path / "covered.mp3", tmp_path / "cover.png"
    write_sound(sound, "libmp3lame")
    Image.new("RGB", (64, 64), (200, 0, 0)).save(cover)
    content = b"\0image/png\0\3\0" + cover.read_bytes()
    apic = b"APIC" + len(content).to_bytes(4, "big") + b"\0\0" + content
    length = bytes(len(apic) >> shift & 0x7F for shift in (21, 14, 7, 0))
    music = sound.read_bytes()
    old_tag = 10 + sum(byte << shift for byte, shift in zip(music[6:10], (21, 14, 7, 0), strict=True)) if music[:3] == b"ID3" else 0
    covered.write_bytes(b"ID3\3\0\0" + length + apic + music[old_tag:])
    with av.open(str(covered)) as container:
        assert len(container.streams.video) == 1
    assert failure(sound).kind is FailureKind.NO_VIDEO_STREAM
    assert failure(covered).kind is FailureKind.NO_VIDEO_STREAM


def test_a_film_that_lost_its_end_is_damaged(tmp_path: Path, numbered: Callable[[Kind], Written]) -> None:
    whole = numbered(Kind.CONSTANT).path.read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    assert failure(tmp_path / "half.mp4").kind is FailureKind.DAMAGED


def test_unknown_protocol_and_unreachable_host_are_the_storages_fault() -> None:
    assert failure("nosuchprotocol://bucket/film.mp4").kind is FailureKind.STORAGE
    assert failure("http://127.0.0.1:9/film.mp4").kind is FailureKind.STORAGE
    assert failure("memory://nowhere/film.mp4").kind is FailureKind.NOT_FOUND


def test_errors_travel_between_processes() -> None:
    error = VideoError(FailureKind.DAMAGED, "film.mp4 is broken")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.kind, str(copy)) == (VideoError, FailureKind.DAMAGED, "film.mp4 is broken")


def test_files_are_closed_also_after_an_error(tmp_path: Path, numbered: Callable[[Kind], Written]) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(numbered(Kind.CONSTANT).path.read_bytes()[:3000])
    failure(broken)
    with open_video(str(numbered(Kind.CONSTANT).path)) as (_, stream):
        assert stream.type == "video"
        assert str(numbered(Kind.CONSTANT).path) in open_files()
    assert not {str(broken), str(numbered(Kind.CONSTANT).path)} & open_files()


def test_a_file_system_is_found_for_urls_and_paths(tmp_path: Path) -> None:
    assert isinstance(file_system("memory://a/b")[0], fsspec.get_filesystem_class("memory"))
    assert file_system(str(tmp_path / "x.mp4"))[1] == str(tmp_path / "x.mp4")


def open_files() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
