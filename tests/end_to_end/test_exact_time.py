"""Exact time, from a video file to what a trainer reads: every frame of every packed clip, every anchor and the sound.

The videos carry their frame numbers as barcodes and their time as a rising tone; what is read out of the shards is compared with what was
drawn, by the times that the sample states: each frame is the nearest of those in the clip's span. Not one frame may be wrong.
"""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import webdataset

from jobs import parts
from jobs.pack import check, pack
from pipeline.pack.grid import exact_rate
from pipeline.pack.options import PackOptions
from pipeline.video.index import read_index
from schemas.sample import Sample, parse_sample
from schemas.tables import FAILURES
from schemas.vocabulary import Expression, Viewpoint
from tests.barcode import Kind, Written, read_number, read_time, write_video
from tests.jobs.pack_root import add_video, job_at
from tests.pipeline.pack.rows import anchor_row, clip_row, decode_picture, decode_video, shown_numbers

FRAMES = 130
RATES = (16.0, 24000 / 1001, 25.0, 60.0)
"""Frames per second of the clips: slower than the sources, as fast, and faster."""

REFUSED_BY_DECORD = {Kind.EDIT_LIST}
"""decord shows frames that an edit list hides."""

PIECE = 8001
"""Samples of sound, half a second, by which a time is read to about a third of a millisecond."""

SOUND_TOLERANCE = 1e-3
"""Seconds. An MP4 states the start of its sound in whole milliseconds, so that much cannot be known."""


def clips_over(video: Written, end_ns: int) -> list[dict[str, Any]]:
    """Clips at every rate from start to end of the video, starting at odd instants; every second one is of a second character."""
    clips = []
    at, number = video.pts_ns[0], 0
    while at < end_ns - 600_000_000:
        rate = RATES[number % len(RATES)]
        count = 1 + 4 * (2 + number % 5)
        clips.append(clip_row(f"clip-{number}", at, count, rate, character_id=f"character-{number % 2}"))
        at, number = at + 555_555_551, number + 1
    return clips


def anchors_over(video: Written) -> list[dict[str, Any]]:
    """Every third frame is an anchor of some bin, of either character."""
    bins = [("global", None), *(("viewpoint", word) for word in Viewpoint.words()), *(("expression", word) for word in Expression.words())]
    return [anchor_row(f"anchor-{n}", time, *bins[n % len(bins)], character_id=f"character-{n // 3 % 2}") for n, time in enumerate(video.pts_ns[::3])]


def packed(out: Path, video: Written, options: PackOptions) -> list[Sample]:
    index = read_index(str(video.path))
    assert index.pts_ns.tolist() == video.pts_ns, "the index states other times than were written"
    add_video(out, video.path, clips_over(video, index.end_ns), anchors_over(video))
    pack(job_at(out), options)
    return list(streamed(out))


def streamed(out: Path) -> Iterator[Sample]:
    urls = sorted(map(str, (out / "shards").glob("*.tar")))
    if urls:
        for sample in webdataset.WebDataset(urls, shardshuffle=False, empty_check=False):
            yield parse_sample(sample["__key__"], sample)


def assert_every_frame_is_right(video: Written, samples: list[Sample]) -> None:
    frames, pictures = 0, set[int]()
    for sample in samples:
        metadata = sample.metadata
        found = [read_number(frame) for frame in decode_video(sample.video)]
        wanted = shown_numbers(video, metadata.start_ns, metadata.end_ns, metadata.frame_count, metadata.frame_rate)
        assert found == wanted, metadata.clip_id
        frames += len(found)
        for anchor, content in zip(metadata.anchors, sample.anchors, strict=True):
            assert read_number(decode_picture(content)) == video.number_at(anchor.pts_ns), (metadata.clip_id, anchor)
            pictures.add(anchor.pts_ns)
    assert frames > 90
    assert len(pictures) > 20


def assert_the_sound_is_right(video: Written, samples: list[Sample]) -> None:
    heard = 0
    for sample in samples:
        metadata = sample.metadata
        assert sample.audio is not None
        sound, rate = soundfile.read(io.BytesIO(sample.audio), dtype="float32")
        assert rate == 16_000
        assert len(sound) == round(metadata.frame_count * 16_000 / exact_rate(metadata.frame_rate))
        for first in range(0, len(sound) - PIECE + 1, PIECE):
            middle = metadata.start_ns * 1e-9 + (first + (PIECE - 1) / 2) / rate
            if video.pts_ns[0] * 1e-9 + 0.4 < middle < video.pts_ns[-1] * 1e-9 - 0.4:
                assert read_time(np.asarray(sound[first : first + PIECE], np.float32), rate) == pytest.approx(middle, abs=SOUND_TOLERANCE)
                heard += 1
    assert heard >= 3


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_every_frame_anchor_and_sound_is_the_nearest(tmp_path: Path, kind: Kind, decoder: Any) -> None:
    video = write_video(tmp_path / "video.mp4", kind, FRAMES * 2 // 3 if kind is Kind.SLOW else FRAMES, width=160, height=128, audio=True)
    options = PackOptions(preset="ultrafast", decoder=decoder)
    samples = packed(tmp_path, video, options)
    failures = parts.read_parts(str(tmp_path), FAILURES).to_pylist()
    if decoder == "decord" and kind in REFUSED_BY_DECORD:
        assert samples == []
        assert {(row["kind"], row["stage"]) for row in failures} == {("unsupported", "pack")}
        assert all("read it with the decoder pyav" in row["message"] for row in failures)
        return
    assert failures == []
    assert_every_frame_is_right(video, samples)
    assert_the_sound_is_right(video, samples)
    assert check(job_at(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "time_base"),
    [("video.mkv", Fraction(1, 1000)), ("video.mov", None), ("video.ts", Fraction(1, 90_000))],
)
@pytest.mark.parametrize("kind", [Kind.FILM, Kind.VARIABLE])
def test_other_containers_too(tmp_path: Path, name: str, time_base: Fraction | None, kind: Kind) -> None:
    video = write_video(tmp_path / name, kind, FRAMES, width=160, height=128, time_base=time_base)
    index = read_index(str(video.path))
    if name.endswith(".ts"):  # its clock starts somewhere else, which the muxer decides
        offset = index.start_ns - video.pts_ns[0]
        video = Written(video.path, index.pts_ns.tolist(), video.numbers, video.width, video.height)
        assert offset > 0
    assert_every_frame_is_right(video, packed(tmp_path, video, PackOptions(preset="ultrafast")))
