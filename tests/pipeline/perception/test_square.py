import os

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.perception.square import flipped, landmarker_image, silence, square_crop

IMAGE = np.random.default_rng(7).integers(1, 256, (40, 60, 3), dtype=np.uint8)


@given(st.integers(-80, 140), st.integers(-80, 120), st.integers(1, 120))
def test_every_pixel_of_a_crop_is_the_image_s_or_black(left: int, top: int, size: int) -> None:
    crop = square_crop(IMAGE, (left + size / 2, top + size / 2), size, size)
    surrounded = np.zeros((40 + 2 * 300, 60 + 2 * 300, 3), np.uint8)
    surrounded[300:340, 300:360] = IMAGE
    assert (crop == surrounded[top + 300 : top + 300 + size, left + 300 : left + 300 + size]).all()


def test_a_smaller_picture_is_the_mean_of_what_it_covers() -> None:
    crop = square_crop(IMAGE, (20, 20), 40, 10)
    means = IMAGE[:, :40].astype(float).reshape(10, 4, 10, 4, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 0.5


def test_a_larger_picture_keeps_its_place() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 10:] = 200
    large = square_crop(image, (10, 10), 20, 200)
    assert large.shape == (200, 200, 3)
    assert (int(large[100, 90, 0]), int(large[100, 110, 0])) == (0, 200)


def test_flipped_is_the_mirror_image_as_opencv_has_it() -> None:
    assert (flipped(IMAGE) == cv2.flip(IMAGE, 1)).all()
    assert flipped(IMAGE).flags.c_contiguous


def test_mediapipe_gets_the_pixels_unchanged() -> None:
    assert (landmarker_image(flipped(IMAGE)[::2]).numpy_view() == flipped(IMAGE)[::2]).all()


def test_silence_holds_for_native_writes_and_ends(capfd: pytest.CaptureFixture[str]) -> None:
    with silence():
        os.write(2, b"hidden")
    os.write(2, b"shown")
    assert capfd.readouterr().err == "shown"


def test_silence_ends_with_an_error_too(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), silence():
        raise RuntimeError
    os.write(2, b"shown")
    assert capfd.readouterr().err == "shown"
