from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.assets import fetch
from pipeline.shots import Shot, ShotDetector, ShotOptions, small_size
from pipeline.video.decoders import open_decoder
from tests.barcode import Kind, write_video

STEP = 40_000_000
Image = NDArray[np.uint8]


def scene(seed: int, frames: int, pan: float = 0.0, brightness: Sequence[float] | None = None) -> list[Image]:
    """Frames of a drawn scene: colours and shapes of its own, seen by a camera that pans, with a little noise."""
    random = np.random.default_rng(seed)
    wide = np.full((72, 512, 3), random.integers(40, 200, 3), np.uint8)
    for _ in range(40):
        x, y, radius = (int(random.integers(low, high)) for low, high in ((0, 512), (0, 72), (4, 22)))
        cv2.circle(wide, (x, y), radius, tuple(int(value) for value in random.integers(0, 255, 3)), -1)
    pictures = []
    for number in range(frames):
        shifted = np.roll(wide, -round(number * pan), axis=1)[:, :128]
        level = 1.0 if brightness is None else brightness[number]
        pictures.append(np.clip(shifted * level + random.normal(0, 2, shifted.shape), 0, 255).astype(np.uint8))
    return pictures


def shots_of(pictures: Sequence[Image], options: ShotOptions | None = None, pts_ns: Sequence[int] | None = None) -> list[Shot]:
    times = list(pts_ns) if pts_ns is not None else [number * STEP for number in range(len(pictures))]
    detector = ShotDetector(options)
    for time, picture in zip(times, pictures, strict=True):
        detector.add(time, picture)
    return detector.finish(times[-1] + STEP)


def counts(shots: Sequence[Shot]) -> list[int]:
    return [shot.frame_count for shot in shots]


@pytest.mark.parametrize("detector", ["adaptive", "content"])
@pytest.mark.parametrize("lengths", [[30, 30], [50, 8, 40, 3, 25], [100], [1], [2, 20], [1, 20], [20, 1], [20, 2]])
def test_cuts_are_found_to_the_frame(detector: str, lengths: list[int]) -> None:
    pictures = [picture for seed, length in enumerate(lengths) for picture in scene(seed, length)]
    options = ShotOptions(detector=detector, min_shot_seconds=0.0)  # type: ignore[arg-type]
    assert counts(shots_of(pictures, options)) == lengths


@pytest.mark.parametrize("pan", [1.0, 3.0, 6.0])
def test_a_moving_camera_is_no_cut(pan: float) -> None:
    assert counts(shots_of([*scene(1, 60, pan), *scene(2, 60, pan)])) == [60, 60]


def test_shots_follow_one_another_in_exact_time() -> None:
    pictures = [*scene(1, 25), *scene(2, 31), *scene(3, 20)]
    times = (7 + np.cumsum(np.random.default_rng(5).integers(5_000_000, 90_000_000, len(pictures)))).tolist()
    shots = shots_of(pictures, pts_ns=times)
    assert [shot.start_ns for shot in shots] == [times[0], times[25], times[56]]
    assert [shot.end_ns for shot in shots] == [times[25], times[56], times[-1] + STEP]


def test_a_fade_through_black_is_cut_in_its_middle() -> None:
    down, up = np.linspace(1, 0, 30), np.linspace(0, 1, 30)
    pictures = [*scene(1, 40), *scene(1, 30, brightness=down.tolist()), *scene(2, 30, brightness=up.tolist()), *scene(2, 40)]
    assert counts(shots_of(pictures)) == [pytest.approx(70, abs=3), pytest.approx(70, abs=3)]
    assert counts(shots_of(pictures, ShotOptions(fades=False))) == [140]


def test_a_flash_splits_at_most_once() -> None:
    flash = np.full((72, 128, 3), 255, np.uint8)
    pictures = [*scene(1, 40), flash, *scene(1, 40)]
    assert counts(shots_of(pictures)) == [40, 41]
    assert counts(shots_of(pictures, ShotOptions(min_shot_seconds=0.0))) == [40, 1, 40]


def test_cuts_are_known_a_few_frames_later() -> None:
    detector = ShotDetector()
    for number, picture in enumerate([*scene(1, 20), *scene(2, 20)]):
        detector.add(number * STEP, picture)
        assert detector.cuts() == ([20 * STEP] if number >= 22 else [])


def test_no_frames_no_shots_and_times_are_checked() -> None:
    assert ShotDetector().finish(0) == []
    detector = ShotDetector()
    detector.add(10, scene(1, 1)[0])
    with pytest.raises(ValueError, match="order of time"):
        detector.add(10, scene(1, 1)[0])
    with pytest.raises(ValueError, match="later than the last frame"):
        detector.finish(10)


@pytest.mark.parametrize(("size", "small"), [((1920, 1080), (128, 72)), ((1080, 1920), (72, 128)), ((64, 64), (128, 128)), ((4000, 100), (128, 8))])
def test_small_size(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert small_size(*size) == small


@pytest.mark.parametrize("kind", [Kind.VARIABLE, Kind.LATE_START, Kind.EDIT_LIST])
def test_a_coded_film_is_cut_where_it_was_drawn(kind: Kind, tmp_path: Path) -> None:
    pictures = [np.asarray(cv2.resize(picture, (320, 240)), np.uint8) for seed, length in ((1, 22), (2, 30), (3, 28)) for picture in scene(seed, length)]
    written = write_video(tmp_path / "film.mp4", kind, frames=80, picture=lambda number: pictures[number])
    detector = ShotDetector()
    with open_decoder(str(written.path)) as decoder:
        for frame in decoder.frames():
            detector.add(frame.pts_ns, frame.rgb(*small_size(320, 240)))
        shots = detector.finish(decoder.index.end_ns)
    starts = [written.pts_ns[0], written.pts_ns[written.numbers.index(22)], written.pts_ns[written.numbers.index(52)]]
    assert [shot.start_ns for shot in shots] == starts
    assert sum(counts(shots)) == len(written.numbers)


def test_one_real_cut_and_none_in_a_single_take() -> None:
    for name, expected in (("face_then_no_face", 2), ("single_face", 1)):
        detector = ShotDetector()
        with open_decoder(str(fetch(name))) as decoder:
            size = small_size(decoder.index.width, decoder.index.height)
            for frame in decoder.frames():
                detector.add(frame.pts_ns, frame.rgb(*size))
            assert len(detector.finish(decoder.index.end_ns)) == expected
