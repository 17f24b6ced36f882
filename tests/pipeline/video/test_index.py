from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest

from pipeline.assets import fetch
from pipeline.video.index import AudioFacts, VideoError, VideoIndex, read_index, video_id
from schemas.tables import VIDEOS
from schemas.vocabulary import FailureKind
from tests.barcode import Kind, Written, write_video


@pytest.mark.parametrize("kind", Kind)
def test_the_index_is_what_was_written(kind: Kind, numbered: Callable[[Kind], Written]) -> None:
    written = numbered(kind)
    index = read_index(str(written.path))
    assert index.pts_ns.tolist() == written.pts_ns
    assert (index.width, index.height) == (written.width, written.height)
    assert index.rotation == (90 if kind is Kind.ROTATED else 0)
    assert index.claimed_frame_count == 60
    assert index.variable_frame_rate == (kind is Kind.VARIABLE)
    keyframes = [pts for pts, number in zip(written.pts_ns, written.numbers, strict=True) if number % 12 == 0]
    assert index.keyframe_ns.tolist() == keyframes
    assert (index.codec, index.pixel_format, index.audio) == ("h264", "yuv420p", ())


@pytest.mark.parametrize(
    ("kind", "end_ns", "rate"), [(Kind.CONSTANT, 2_400_000_000, 25.0), (Kind.LATE_START, 3_800_000_000, 25.0), (Kind.FILM, 2_502_500_000, 24000 / 1001)]
)
def test_end_and_rate(kind: Kind, end_ns: int, rate: float, numbered: Callable[[Kind], Written]) -> None:
    index = read_index(str(numbered(kind).path))
    assert index.end_ns == end_ns
    assert index.frame_rate == pytest.approx(rate, rel=1e-9)
    assert index.start_ns == (1_400_000_000 if kind is Kind.LATE_START else 0)


CONTAINERS: list[tuple[str, str, dict[str, str] | None, Fraction | None]] = [
    ("webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8", "b": "300k"}, Fraction(1, 1000)),
    ("mkv", "libx264", None, Fraction(1, 1000)),
    ("mov", "libx265", {"preset": "ultrafast", "x265-params": "log-level=error:open-gop=1:keyint=12:bframes=3"}, None),
    ("ts", "libx264", None, Fraction(1, 90000)),
]
"""Suffix, encoder, its options, the container's time base. MPEG-TS starts later, by however long the B-frames are put back."""


@pytest.mark.parametrize(("suffix", "codec", "options", "time_base"), CONTAINERS, ids=[case[0] for case in CONTAINERS])
def test_other_containers(suffix: str, codec: str, options: dict[str, str] | None, time_base: Fraction | None, tmp_path: Path) -> None:
    written = write_video(tmp_path / f"film.{suffix}", Kind.FILM, codec=codec, options=options, time_base=time_base)
    index = read_index(str(written.path))
    late = index.pts_ns - np.array(written.pts_ns)
    assert np.ptp(late) <= (11_112 if suffix == "ts" else 0)
    assert (late[0] == 0) == (suffix != "ts")
    assert not index.variable_frame_rate


@pytest.mark.parametrize(("turn", "size"), [(0, (320, 240)), (90, (320, 240)), (180, (320, 240)), (270, (320, 240))])
def test_rotation_is_clockwise_and_the_size_is_the_displayed_one(turn: int, size: tuple[int, int], tmp_path: Path) -> None:
    written = write_video(tmp_path / "turned.mp4", Kind.CONSTANT, frames=3, turn=turn)
    index = read_index(str(written.path))
    assert index.rotation == turn
    assert (index.width, index.height) == size
    with av.open(str(written.path)) as container:
        assert (container.streams.video[0].width > container.streams.video[0].height) == (turn in (0, 180))


def test_audio_facts_and_row(tmp_path: Path) -> None:
    index = read_index(str(write_video(tmp_path / "sound.mp4", Kind.CONSTANT, frames=25, audio=True).path))
    assert index.audio == (AudioFacts("aac", 48000, 1),)
    row = VIDEOS.from_rows([index.row()]).to_pylist()[0]
    assert (row["audio_streams"], row["audio_codec"], row["audio_rate"], row["audio_channels"]) == (1, "aac", 48000, 1)
    assert (row["frame_count"], row["keyframe_count"], row["end_ns"], row["size_bytes"]) == (25, 3, 10**9, (tmp_path / "sound.mp4").stat().st_size)


def test_pixels_that_are_not_square_are_displayed_wider(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 240, 180, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        container.mux([*stream.encode(av.VideoFrame.from_ndarray(np.zeros((180, 240, 3), np.uint8))), *stream.encode(None)])
    index = read_index(str(path))
    assert (index.width, index.height) == (320, 180)
    assert (index.frame_count, index.variable_frame_rate, index.end_ns) == (1, False, 40_000_000)


@pytest.mark.parametrize(
    ("name", "codec", "shown", "claimed", "variable"),
    [("walker", "vp9", 230, 230, False), ("face_then_no_face", "hevc", 169, 169, True), ("no_face", "h264", 95, 98, False)],
)
def test_real_files(name: str, codec: str, shown: int, claimed: int, variable: bool) -> None:
    index = read_index(str(fetch(name)))
    assert (index.codec, index.frame_count, index.claimed_frame_count, index.variable_frame_rate) == (codec, shown, claimed, variable)
    assert index.start_ns == 0


def test_times_are_read_only_and_must_ascend(numbered: Callable[[Kind], Written]) -> None:
    index = read_index(str(numbered(Kind.CONSTANT).path))
    with pytest.raises(ValueError, match="read-only"):
        index.pts_ns[0] = 1
    for pts, keyframes, end in (([0, 2, 1], [0], 9), ([0, 1], [7], 9), ([], [], 9), ([0, 1], [0], 1)):
        with pytest.raises(ValueError, match=r"ascend|not an index"):
            an_index(pts, keyframes, end)


def test_nearest_prefers_the_earlier_of_two() -> None:
    index = an_index([10, 20, 40], [10], 50)
    assert index.nearest(np.array([-100, 10, 14, 15, 16, 30, 31, 40, 10**15])).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert an_index([7], [7], 8).nearest(np.array([0, 7, 9])).tolist() == [0, 0, 0]


def test_the_id_is_of_the_content_wherever_it_lies(tmp_path: Path, numbered: Callable[[Kind], Written]) -> None:
    content = numbered(Kind.B_FRAMES).path.read_bytes() + bytes(200_000)
    (tmp_path / "one.mp4").write_bytes(content)
    (tmp_path / "changed.mp4").write_bytes(content[:-1] + b"\1")
    with fsspec.open("memory://folder/other.mp4", "wb") as file:
        file.write(content)
    first = video_id(str(tmp_path / "one.mp4"))
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert video_id("memory://folder/other.mp4") == first
    assert video_id(str(tmp_path / "changed.mp4")) != first
    assert read_index("memory://folder/other.mp4").pts_ns.tolist() == numbered(Kind.B_FRAMES).pts_ns


def test_a_film_that_stops_early_has_the_frames_that_are_there(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", Kind.B_FRAMES, frames=100).path.read_bytes()
    (tmp_path / "half.mkv").write_bytes(whole[: len(whole) // 2])
    assert 20 < read_index(str(tmp_path / "half.mkv")).frame_count < 80


def test_frames_without_times_are_refused(tmp_path: Path) -> None:
    for name in ("bare.h264", "film.avi"):
        written = write_video(tmp_path / name, Kind.B_FRAMES, frames=20)
        with pytest.raises(VideoError, match=r"times.*convert") as caught:
            read_index(str(written.path))
        assert caught.value.kind is FailureKind.UNSUPPORTED


def an_index(pts: list[int], keyframes: list[int], end_ns: int) -> VideoIndex:
    times = {"pts_ns": np.array(pts, np.int64), "keyframe_ns": np.array(keyframes, np.int64), "end_ns": end_ns}
    return VideoIndex("0" * 16, "drawn", 1, "mp4", "h264", "yuv420p", 64, 48, 0, Fraction(1, 1000), claimed_frame_count=None, audio=(), **times)  # type: ignore[arg-type]
