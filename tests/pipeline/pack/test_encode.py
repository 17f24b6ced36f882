import io
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.pack.encode import ClipEncoder
from pipeline.pack.options import PackOptions
from tests.barcode import read_number, stamp
from tests.pipeline.pack.rows import decode_video

COLOURS = np.asarray([[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128], [255, 255, 255], [0, 0, 0], [200, 150, 120], [30, 90, 200]], np.uint8)


def encode(frames: list[NDArray[np.uint8]], rate: Fraction, options: PackOptions) -> bytes:
    height, width, _ = frames[0].shape
    with ClipEncoder(width, height, rate, options) as encoder:
        for frame in frames:
            encoder.add(frame)
        return encoder.finish()


def numbered(count: int) -> list[NDArray[np.uint8]]:
    return [stamp(np.full((96, 160, 3), 110, np.uint8), number) for number in range(count)]


@pytest.mark.parametrize("rate", [Fraction(16), Fraction(24000, 1001), Fraction(25, 2), Fraction(30000, 1001)])
def test_frames_and_times_are_exact(rate: Fraction) -> None:
    content = encode(numbered(81), rate, PackOptions())
    assert [read_number(frame) for frame in decode_video(content)] == list(range(81))
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.frames, stream.start_time) == (rate, 81, 0)
        assert stream.duration is not None
        assert stream.time_base is not None
        assert abs(stream.duration * stream.time_base - 81 / rate) <= stream.time_base * 81
        pictures = list(container.decode(stream))
    tick = stream.time_base
    assert all(abs((picture.pts or 0) * tick - i / rate) <= tick for i, picture in enumerate(pictures))
    assert [i for i, picture in enumerate(pictures) if picture.key_frame] == list(range(0, 81, 16))


def test_colours_come_back() -> None:
    picture = np.repeat(np.repeat(COLOURS[None], 24, axis=1), 96, axis=0)
    content = encode([picture] * 3, Fraction(16), PackOptions())
    for frame in decode_video(content):
        found = frame[48, 12::24].astype(int)
        assert np.abs(found - COLOURS).max() <= 4
    with av.open(io.BytesIO(content), "r") as container:
        first = next(container.decode(video=0))
        assert (first.colorspace, first.color_range, first.color_primaries, first.color_trc) == (1, 1, 1, 1)  # BT.709, limited
        assert first.format.name == "yuv420p"


def test_quality_is_high() -> None:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 255, (6, 10, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    error = np.mean((decode_video(encode([smooth] * 5, Fraction(16), PackOptions()))[2].astype(float) - smooth) ** 2)
    assert 10 * np.log10(255**2 / error) > 30


def test_the_same_frames_give_the_same_bytes() -> None:
    assert encode(numbered(20), Fraction(16), PackOptions()) == encode(numbered(20), Fraction(16), PackOptions())


def boxes(content: bytes) -> list[bytes]:
    """Types of the top-level MP4 boxes, in order (ISO/IEC 14496-12)."""
    found, at = [], 0
    while at < len(content):
        found.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big")
    return found


def test_the_file_can_be_played_from_its_start_and_knows_no_date() -> None:
    content = encode(numbered(5), Fraction(16), PackOptions())
    assert [name for name in boxes(content) if name in (b"moov", b"mdat")] == [b"moov", b"mdat"]
    assert b"edts" not in content
    header = content.index(b"mvhd")
    assert content[header + 8 : header + 16] == bytes(8)  # creation and modification time


def test_frames_of_another_size_are_refused_and_files_removed() -> None:
    with ClipEncoder(160, 96, Fraction(16), PackOptions()) as encoder:
        folder = encoder.folder
        assert folder.is_dir()
        with pytest.raises(ValueError, match="frames of this clip are"):
            encoder.add(np.zeros((96, 176, 3), np.uint8))
    assert not folder.exists()
