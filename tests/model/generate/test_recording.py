"""What was recorded is decoded again: drawn numbers, times, clicks."""

import errno
import io
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.audio.protocols import SAMPLE_RATE
from model.errors import ModelInputError
from model.generate.recording import Recording
from tests.barcode import read_number, stamp

RATE = Fraction(16)
WIDTH, HEIGHT = 160, 96
CLICKS = (0.0, 0.25, 1.0, 2.5, 4.0)
"""Seconds."""


class Clicks:
    """Short bursts of a tone at known times."""

    length = 6 * SAMPLE_RATE

    def __init__(self) -> None:
        self.longest = 0
        self._samples = torch.zeros(self.length)
        burst = torch.sin(torch.arange(64) * 2 * torch.pi * 2000 / SAMPLE_RATE + 1.57) * 0.9
        for click in CLICKS:
            start = round(click * SAMPLE_RATE)
            self._samples[start : start + 64] = burst

    def read(self, start: int, count: int) -> Tensor:
        self.longest = max(self.longest, count)
        found = self._samples[max(0, start) : max(0, start + count)]
        return torch.nn.functional.pad(found, (0, count - len(found)))


def numbered(first: int, end: int) -> Tensor:
    return torch.from_numpy(np.stack([stamp(np.full((HEIGHT, WIDTH, 3), 110, np.uint8), number) for number in range(first, end)]))


CHUNKS = [numbered(0, 33), numbered(33, 34), numbered(34, 60), numbered(60, 81)]
"""One of them of a single frame."""


def record(out: Path, rate: Fraction = RATE) -> Recording:
    recording = Recording(out, WIDTH, HEIGHT, rate)
    for chunk in CHUNKS:
        recording.append(chunk)
    return recording


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with sound, and the file it grew in."""
    out = tmp_path_factory.mktemp("made") / "video.mp4"
    with record(out) as recording:
        assert recording.finish(out, Clicks()) == 81
    return out


def frames_in(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


@pytest.mark.parametrize("rate", [RATE, Fraction(24000, 1001), Fraction(25, 2)])
def test_every_frame_is_there_at_exactly_its_time(tmp_path: Path, rate: Fraction) -> None:
    out = tmp_path / "video.mp4"
    with record(out, rate) as recording:
        recording.finish(out, Clicks())
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert (stream.frames, stream.average_rate, stream.start_time, stream.duration * stream.time_base) == (81, rate, 0, 81 / rate)
        pictures = list(container.decode(stream))
        assert [(picture.pts or 0) * stream.time_base for picture in pictures] == [number / rate for number in range(81)]
        assert container.duration == pytest.approx(float(81 / rate) * 1e6, abs=1)
    assert [read_number(np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)) for picture in pictures] == list(range(81))


def test_pictures_are_not_coded_again_and_are_tagged(made: Path) -> None:
    with av.open(str(made)) as container, av.open(str(made) + ".partial.h264", format="h264") as grown:
        first = next(container.decode(video=0))
        assert (first.colorspace, first.color_range, first.color_primaries, first.color_trc) == (1, 1, 1, 1)  # BT.709, limited
        assert first.format.name == "yuv420p"
        pictures = [frame.to_ndarray() for frame in grown.decode(video=0)]
    with av.open(str(made)) as container:
        assert all(np.array_equal(frame.to_ndarray(), before) for frame, before in zip(container.decode(video=0), pictures, strict=True))


def test_the_file_that_grows_knows_its_rate(made: Path) -> None:
    with av.open(str(made) + ".partial.h264") as grown:
        assert grown.streams.video[0].codec_context.framerate == RATE


def heard(path: Path) -> tuple[NDArray[np.float32], int]:
    """The sound as a player gives it: from time 0, what comes before is not heard."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        blocks = [(frame.time or 0.0, frame.to_ndarray()[0]) for frame in container.decode(stream)]
    length = max(round(time * SAMPLE_RATE) + len(block) for time, block in blocks)
    samples = np.zeros(length, np.float32)
    for time, block in blocks:
        start = round(time * SAMPLE_RATE)
        assert start >= 0
        samples[start : start + len(block)] = block
    return samples, length


def test_clicks_are_heard_when_they_were_made(made: Path) -> None:
    with av.open(str(made)) as container:
        sound = container.streams.audio[0]
        assert (sound.duration, sound.time_base) == (81 * SAMPLE_RATE // 16, Fraction(1, SAMPLE_RATE))
    samples, _ = heard(made)
    for click in CLICKS:
        near = range(max(0, round((click - 0.05) * SAMPLE_RATE)), round((click + 0.05) * SAMPLE_RATE))
        loud = np.abs(samples[near.start : near.stop])
        middle = float((loud**2 * np.arange(len(loud))).sum() / (loud**2).sum()) + near.start
        assert middle / SAMPLE_RATE == pytest.approx(click + 32 / SAMPLE_RATE, abs=0.003)


def test_sound_is_read_in_small_parts_and_its_end_padded(tmp_path: Path) -> None:
    clicks = Clicks()
    with record(tmp_path / "video.mp4", Fraction(8)) as recording:  # 10.1 s, the sound lasts 6
        recording.finish(tmp_path / "video.mp4", clicks)
    assert clicks.longest <= 1024
    samples, length = heard(tmp_path / "video.mp4")
    assert 0 <= length - 81 * SAMPLE_RATE / 8 < 1024  # the last packet is decoded to its end
    assert np.abs(samples[7 * SAMPLE_RATE :]).max() < 0.01


def test_a_video_without_sound_has_no_audio_stream_and_plays_from_its_start(tmp_path: Path) -> None:
    out = tmp_path / "video.mp4"
    with record(out) as recording:
        recording.finish(out)
        recording.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["video.mp4"]
    content = out.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(io.BytesIO(content), "r") as container:
        assert not container.streams.audio


def test_what_is_cut_off_and_made_again_gives_the_same_bytes(tmp_path: Path, made: Path) -> None:
    whole = Path(str(made) + ".partial.h264").read_bytes()
    with Recording(tmp_path / "video.mp4", WIDTH, HEIGHT, RATE) as recording:
        recording.append(CHUNKS[0])
        recording.append(CHUNKS[1])
        committed = recording.bytes_written
        recording.append(CHUNKS[2])
    with recording.path.open("ab") as file:
        file.write(b"half a pict")  # the machine went down while it was written
    with Recording(tmp_path / "video.mp4", WIDTH, HEIGHT, RATE) as recording:
        recording.truncate(committed)
        for chunk in CHUNKS[2:]:
            recording.append(chunk)
        recording.finish(tmp_path / "video.mp4", Clicks())
        assert recording.bytes_written == len(whole)
    assert recording.path.read_bytes() == whole
    assert (tmp_path / "video.mp4").read_bytes() == made.read_bytes()


def test_the_video_appears_under_its_name_when_it_is_whole(tmp_path: Path) -> None:
    class Broken(Clicks):
        def read(self, start: int, count: int) -> Tensor:
            if start > SAMPLE_RATE:
                raise RuntimeError("the disk is gone")
            return super().read(start, count)

    with record(tmp_path / "video.mp4") as recording:
        with pytest.raises(RuntimeError, match="the disk is gone"):
            recording.finish(tmp_path / "video.mp4", Broken())
        assert [path.name for path in tmp_path.iterdir()] == ["video.mp4.partial.h264"]


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelInputError, match="even sides, not 161x96"):
        Recording(tmp_path / "a.mp4", 161, 96, RATE)
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelInputError, match="choose another --out"):
        Recording(tmp_path / "file" / "a.mp4", WIDTH, HEIGHT, RATE)
    with Recording(tmp_path / "a.mp4", WIDTH, HEIGHT, RATE) as recording:
        with pytest.raises(ModelInputError, match="holds no frame"):
            recording.finish(tmp_path / "a.mp4")
        with pytest.raises(ValueError, match="frames of this recording"):
            recording.append(torch.zeros(3, 8, 8, 3, dtype=torch.uint8))
        recording.append(CHUNKS[1])
        with pytest.raises(ModelInputError, match=r"has \d+ bytes where 700000 were written; begin anew with --restart"):
            recording.truncate(700_000)


def test_a_file_that_is_gone_is_said_and_not_left_empty(tmp_path: Path) -> None:
    with Recording(tmp_path / "a.mp4", WIDTH, HEIGHT, RATE) as recording:
        with pytest.raises(ModelInputError, match=r"a.mp4.partial.h264, in which the video grew, is gone, .* begin anew with --restart"):
            recording.truncate(7)
        recording.truncate(0)
    assert list(tmp_path.iterdir()) == []
    recording.close()


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


FULL = r"the disk of .*a.mp4.partial.h264 is full; what is finished is kept: make room and run the same command again"


def test_a_disk_that_fills_is_said_and_what_is_finished_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recording(tmp_path / "a.mp4", WIDTH, HEIGHT, RATE) as recording:
        recording.append(CHUNKS[0])
        committed = recording.bytes_written
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(ModelInputError, match=FULL):
                recording.append(CHUNKS[2])
            with pytest.raises(ModelInputError, match=FULL):
                recording.truncate(committed)
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
            with pytest.raises(ModelInputError, match=r"cannot be written any more \(Input/output error\); what is finished is kept"):
                recording.append(CHUNKS[2])
    with Recording(tmp_path / "a.mp4", WIDTH, HEIGHT, RATE) as recording:
        recording.truncate(committed)
        assert recording.finish(tmp_path / "a.mp4") == len(CHUNKS[0])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_leaving_a_full_disk_says_nothing_else(tmp_path: Path) -> None:
    """What could not be written is not tried again when the file is closed."""
    (tmp_path / "a.mp4.partial.h264").symlink_to("/dev/full")
    with pytest.raises(ModelInputError, match=FULL), Recording(tmp_path / "a.mp4", WIDTH, HEIGHT, RATE) as recording:
        recording.append(CHUNKS[0])
