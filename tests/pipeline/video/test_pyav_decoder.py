import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest

from pipeline.video.container import VideoError
from pipeline.video.pyav_decoder import PyAVDecoder
from schemas.vocabulary import FailureKind
from tests.barcode import Kind, Written, read_number, write_video

CONTAINERS: list[tuple[str, str, dict[str, str] | None]] = [
    ("webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8", "b": "300k"}),
    ("mkv", "libx264", None),
    ("mov", "libx265", {"preset": "ultrafast", "x265-params": "log-level=error:open-gop=1:keyint=12:bframes=3"}),
    ("mkv", "libx264", {"x264-params": "keyint=12:scenecut=0:bframes=3:open-gop=1"}),
    ("mp4", "libx264", {"x264-params": "keyint=2:scenecut=0:bframes=3:b-adapt=0"}),
    ("ts", "libx264", None),
    ("flv", "libx264", None),
    ("avi", "mpeg4", {}),
]
"""Hidden reference frames, open groups of pictures, keyframes closer than the B-frames' delay, containers without an index."""


@pytest.mark.parametrize(("suffix", "codec", "options"), CONTAINERS)
def test_frames_are_exact_in_every_container(suffix: str, codec: str, options: dict[str, str] | None, tmp_path: Path) -> None:
    kind = Kind.CONSTANT if suffix == "avi" else Kind.B_FRAMES
    written = write_video(tmp_path / f"film.{suffix}", kind, frames=60, codec=codec, options=options)
    with PyAVDecoder(str(written.path)) as decoder:
        pts_ns = decoder.index.pts_ns.tolist()
        found = [(frame.pts_ns, read_number(frame.rgb())) for frame in decoder.frames()]
        assert found == list(zip(pts_ns, written.numbers, strict=True))
        for first in (0, 1, 12, 13, 25, 40, 59):
            assert [read_number(frame.rgb()) for frame in decoder.frames(pts_ns[first], pts_ns[first] + 10**8)] == written.numbers[first : first + 3]
        order = np.random.default_rng(3).permutation(60).tolist()
        assert [read_number(frame.rgb()) for frame in decoder.read([pts_ns[position] for position in order])] == order


def test_remote_files_are_read_like_local_ones(numbered: Callable[[Kind], Written]) -> None:
    written = numbered(Kind.EDIT_LIST)
    with fsspec.open("memory://videos/film.mp4", "wb") as file:
        file.write(written.path.read_bytes())
    with PyAVDecoder("memory://videos/film.mp4") as decoder:
        assert [read_number(frame.rgb()) for frame in decoder.frames()] == written.numbers
        assert [read_number(frame.rgb()) for frame in decoder.read([written.pts_ns[30], 0])] == [written.numbers[30], written.numbers[0]]


def test_threads_change_nothing(numbered: Callable[[Kind], Written]) -> None:
    path = str(numbered(Kind.FILM).path)
    with PyAVDecoder(path) as one, PyAVDecoder(path, threads=4) as four:
        for first, second in zip(one.frames(), four.frames(), strict=True):
            assert first.pts_ns == second.pts_ns
            assert np.array_equal(first.rgb(), second.rgb())


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("colour_space", "code"), [("itu709", 1), ("smpte170m", 6)])
def test_colours_follow_what_the_stream_declares(colour_space: str, code: int, full_range: bool, tmp_path: Path) -> None:
    path = tmp_path / "colour.mp4"
    colours = np.array([[255, 255, 255], [0, 0, 0], [220, 40, 60], [30, 200, 70], [20, 60, 230]], np.uint8)
    picture = np.repeat(np.repeat(colours[None], 64, 0), 64, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 320, 64, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = code, 2 if full_range else 1
        frame = av.VideoFrame.from_ndarray(picture).reformat(format="yuv420p", dst_colorspace=colour_space, dst_color_range="JPEG" if full_range else "MPEG")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with PyAVDecoder(str(path)) as decoder:
        seen = next(decoder.frames()).rgb()[32, 32::64]
    assert np.abs(seen.astype(int) - colours).max() <= 5


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 240, 180, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux([*stream.encode(av.VideoFrame.from_ndarray(np.zeros((180, 240, 3), np.uint8))), *stream.encode(None)])
    with PyAVDecoder(str(path)) as decoder:
        assert [frame.rgb().shape for frame in decoder.frames()] == [(180, 320, 3)]


def test_damage_in_the_middle_is_told_with_file_and_time(tmp_path: Path, numbered: Callable[[Kind], Written]) -> None:
    written = numbered(Kind.CONSTANT)
    with av.open(str(written.path)) as container:
        position, size = next((packet.pos, packet.size) for packet in container.demux(video=0) if packet.pts == 30 * 512)
    content = bytearray(written.path.read_bytes())
    assert position is not None
    content[position : position + size] = bytes(size)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    with PyAVDecoder(str(broken)) as decoder:
        numbers: list[int] = []
        with pytest.raises(VideoError, match=r"broken\.mp4 cannot be decoded at 1\.200 s") as caught:
            numbers.extend(read_number(frame.rgb()) for frame in decoder.frames())
        assert caught.value.kind is FailureKind.DAMAGED
        assert [read_number(frame.rgb()) for frame in decoder.frames(written.pts_ns[36])] == written.numbers[36:]


def test_a_film_that_stops_early_is_read_to_where_it_stops(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", Kind.B_FRAMES, frames=100).path.read_bytes()
    (tmp_path / "half.mkv").write_bytes(whole[: len(whole) // 2])
    with PyAVDecoder(str(tmp_path / "half.mkv")) as decoder:
        found = [(frame.pts_ns, read_number(frame.rgb())) for frame in decoder.frames()]
        assert [pts_ns for pts_ns, _ in found] == decoder.index.pts_ns.tolist()
    assert len(found) > 20
    assert all(pts_ns == number * 40_000_000 for pts_ns, number in found)


def test_one_iteration_at_a_time(numbered: Callable[[Kind], Written]) -> None:
    with PyAVDecoder(str(numbered(Kind.CONSTANT).path)) as decoder:
        first, second = decoder.frames(), decoder.frames()
        assert [next(first).pts_ns, next(second).pts_ns] == [0, 0]
        with pytest.raises(RuntimeError, match="another one was started"):
            next(first)
        assert next(second).pts_ns == 40_000_000


def test_the_file_is_closed_and_stays_closed(numbered: Callable[[Kind], Written]) -> None:
    path = str(numbered(Kind.FILM).path)
    for _ in range(3):
        decoder = PyAVDecoder(path)
        frames = decoder.frames()
        next(frames)
        list(decoder.read([10**9, 0]))
        assert open_count(path) == 1
        decoder.close()
        decoder.close()
        assert open_count(path) == 0
        with pytest.raises(RuntimeError, match="closed"):
            next(frames)


def test_memory_is_level_over_a_long_film(tmp_path: Path) -> None:
    written = write_video(tmp_path / "long.mp4", Kind.CONSTANT, frames=1500, width=320, height=240, keyframe_interval=50, options={"preset": "ultrafast"})
    resident = []
    with PyAVDecoder(str(written.path)) as decoder:
        for number, frame in enumerate(decoder.frames()):
            frame.rgb(128, 96)
            if number in (200, 1499):
                resident.append(resident_bytes())
    assert resident[1] - resident[0] < 10_000_000, "1300 pictures of 115 kB went by"


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def open_count(path: str) -> int:
    return sum(link.is_symlink() and str(link.readlink()) == path for link in Path("/proc/self/fd").iterdir())
