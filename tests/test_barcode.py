from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.barcode import Kind, chirp, read_number, read_time, stamp, write_video


@pytest.mark.parametrize("number", [0, 1, 255, 256, 4095, 31337, 65535])
@pytest.mark.parametrize("size", [(320, 240), (64, 48), (1280, 720), (333, 187)])
def test_a_number_is_read_at_any_scale(number: int, size: tuple[int, int]) -> None:
    picture = stamp(np.full((240, 320, 3), 90, np.uint8), number)
    assert read_number(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)) == number


def test_a_turned_or_mirrored_number_is_not_read() -> None:
    picture = stamp(np.full((240, 320, 3), 90, np.uint8), 1234)
    for wrong in (picture[:, ::-1], picture[::-1], np.rot90(picture), np.rot90(picture, 2), np.rot90(picture, 3)):
        with pytest.raises(ValueError, match=r"fit|neither"):
            read_number(np.ascontiguousarray(wrong))


def test_two_blended_frames_are_not_read() -> None:
    gray = np.full((240, 320, 3), 90, np.uint8)
    blend = (stamp(gray, 6).astype(int) + stamp(gray, 9)) // 2
    with pytest.raises(ValueError, match="neither"):
        read_number(blend.astype(np.uint8))


def test_one_flipped_block_is_noticed() -> None:
    picture = stamp(np.full((240, 320, 3), 90, np.uint8), 77)
    picture[160:200, 60:80] = 255 - picture[160:200, 60:80]
    with pytest.raises(ValueError, match="check"):
        read_number(picture)


@pytest.mark.parametrize("time", [0.3, 1.0, 4.711, 9.95])
@pytest.mark.parametrize("rate", [48000, 16000])
def test_the_tone_tells_its_time(time: float, rate: int) -> None:
    samples = chirp(time + (np.arange(rate // 5) - (rate // 5 - 1) / 2) / rate)
    assert read_time(samples, rate) == pytest.approx(time, abs=1e-3)


def test_the_sound_in_a_file_is_in_time(tmp_path: Path) -> None:
    written = write_video(tmp_path / "sound.mp4", Kind.FILM, audio=True)
    with av.open(str(written.path)) as container:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    for start in range(0, 80_000, 9_600):
        middle = (start + 9_599 / 2) / 48_000
        assert read_time(samples[start : start + 9_600], 48_000) == pytest.approx(middle, abs=2e-3)


def test_truth_names_the_nearest_frame(tmp_path: Path) -> None:
    written = write_video(tmp_path / "truth.mp4", Kind.EDIT_LIST, frames=12)
    assert written.pts_ns[0] == 0
    assert written.numbers == [7, 8, 9, 10, 11]
    assert [written.number_at(instant) for instant in (-5, 0, 20_000_000, 20_000_001, 10**12)] == [7, 7, 7, 8, 11]
