import cv2
import numpy as np
import pytest

from pipeline.perception.quality import measure_quality

RANDOM = np.random.default_rng(7)
TEXTURE = np.asarray(cv2.resize(RANDOM.integers(60, 200, (20, 20, 3)).astype(np.uint8), (240, 240), interpolation=cv2.INTER_CUBIC), np.uint8)
WHOLE = np.array([0, 0, 240, 240], np.float32)


def test_sharpness_falls_with_every_step_of_blur() -> None:
    blurred = [np.asarray(cv2.GaussianBlur(TEXTURE, (0, 0), sigma), np.uint8) for sigma in (2, 4, 8, 16)]
    sharpness = [measure_quality(image, WHOLE).sharpness for image in [TEXTURE, *blurred]]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 1.5 * sharpness[3]


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.2])
def test_sharpness_hardly_depends_on_exposure(gain: float) -> None:
    dimmed = np.clip(TEXTURE.astype(np.float32) * gain, 0, 255).astype(np.uint8)
    assert measure_quality(dimmed, WHOLE).sharpness == pytest.approx(measure_quality(TEXTURE, WHOLE).sharpness, rel=0.25)


def test_brightness_and_clipping_are_those_of_the_pixels() -> None:
    image = np.full((100, 100, 3), 128, np.uint8)
    image[:25] = 255
    image[25:50] = 0
    quality = measure_quality(image, np.array([0, 0, 100, 100], np.float32))
    assert quality.clipped == pytest.approx(0.5)
    assert quality.brightness == pytest.approx((0.25 * 255 + 0.5 * 128) / 255, abs=0.01)


@pytest.mark.parametrize(("box", "cut_off"), [((0, 0, 240, 240), 0), ((-60, 0, 60, 120), 0.5), ((-60, -60, 60, 60), 0.75), ((300, 300, 400, 400), 1)])
def test_cut_off_is_the_share_outside(box: tuple[int, ...], cut_off: float) -> None:
    assert measure_quality(TEXTURE, np.array(box, np.float32)).cut_off == pytest.approx(cut_off)


def test_a_flat_picture_is_not_sharp() -> None:
    assert measure_quality(np.full((50, 50, 3), 90, np.uint8), np.array([5, 5, 45, 45], np.float32)).sharpness == 0


def test_a_box_of_a_single_pixel_is_measured() -> None:
    assert measure_quality(TEXTURE, np.array([10.2, 10.2, 11.4, 11.4], np.float32)).sharpness == 0
