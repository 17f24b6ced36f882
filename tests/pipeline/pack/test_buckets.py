import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.failures import InputError
from pipeline.pack.buckets import choose_bucket

AREA = 480 * 832


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((1920, 1080), (832, 464)),
        ((1080, 1920), (464, 832)),
        ((832, 480), (832, 480)),
        ((640, 640), (624, 624)),
        ((320, 240), (320, 240)),
        ((330, 250), (320, 240)),
        ((16, 16), (16, 16)),
    ],
)
def test_usual_sources(source: tuple[int, int], expected: tuple[int, int]) -> None:
    bucket = choose_bucket(*source, AREA)
    assert (bucket.width, bucket.height) == expected


def test_small_sources_grow_only_when_asked() -> None:
    assert choose_bucket(320, 240, AREA).width == 320
    bucket = choose_bucket(320, 240, AREA, upscale=True)
    assert 0.9 * AREA < bucket.width * bucket.height <= AREA


@given(st.integers(16, 5000), st.integers(16, 5000), st.booleans())
def test_what_every_bucket_promises(width: int, height: int, upscale: bool) -> None:
    if max(width / height, height / width) > 1000:
        return
    bucket = choose_bucket(width, height, AREA, upscale)
    assert bucket.width % 16 == bucket.height % 16 == 0
    assert bucket.width * bucket.height <= AREA
    assert upscale or (bucket.width <= width and bucket.height <= height)
    across, down = bucket.scaled_width - bucket.width, bucket.scaled_height - bucket.height
    assert 0 <= across < 16
    assert 0 <= down < 16
    # nothing is stretched by more than the rounding to whole pixels
    assert abs(bucket.scaled_width * height - bucket.scaled_height * width) <= max(width, height) + 1e-6
    limit = AREA if upscale else min(AREA, width * height)
    assert (bucket.width + 16) * (bucket.height + 16) > limit, "a larger bucket of the same shape would have fitted"


def test_too_small_sources_are_refused() -> None:
    with pytest.raises(InputError, match="a picture of 15x200 does not fit"):
        choose_bucket(15, 200, AREA)


def test_a_box_follows_the_crop() -> None:
    bucket = choose_bucket(1920, 1080, AREA)
    picture = np.zeros((bucket.scaled_height, bucket.scaled_width, 3), np.uint8)
    picture[100:200, 50:150] = 255
    box = (50 / bucket.scaled_width, 100 / bucket.scaled_height, 150 / bucket.scaled_width, 200 / bucket.scaled_height)
    cropped = bucket.crop(picture)
    assert cropped.shape == (bucket.height, bucket.width, 3)
    x0, y0, x1, y1 = bucket.box(box)
    rows, columns = np.nonzero(cropped[:, :, 0])
    assert (columns.min(), columns.max() + 1) == pytest.approx((x0 * bucket.width, x1 * bucket.width))
    assert (rows.min(), rows.max() + 1) == pytest.approx((y0 * bucket.height, y1 * bucket.height))
