from io import BytesIO

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from model.errors import ModelInputError
from model.samples.decode import decode_picture
from model.samples.size import covering_size, cropped_box, scaled_size
from pipeline.pack.buckets import choose_bucket

sides = st.integers(200, 2000)


@pytest.mark.parametrize(
    ("width", "height", "area", "multiple", "expected"),
    [
        (832, 480, 832 * 480, 16, (832, 480)),  # fits already
        (832, 480, 48 * 48, 4, (64, 36)),  # 63.2 x 36.4; of 60 and 64 by 36, the one of nearly its shape
        (480, 832, 480 * 832, 32, (480, 832)),
        (100, 60, 10**6, 16, (96, 48)),  # never enlarged
    ],
)
def test_known_sizes(width: int, height: int, area: int, multiple: int, expected: tuple[int, int]) -> None:
    assert scaled_size(width, height, area, multiple) == expected


@given(sides, sides, st.integers(150 * 150, 1000 * 1000), st.sampled_from([4, 16, 32]))
def test_nothing_is_enlarged_and_the_result_stays(width: int, height: int, area: int, multiple: int) -> None:
    assume(max(width, height) < 3 * min(width, height))
    across, down = scaled_size(width, height, area, multiple)
    assert across % multiple == down % multiple == 0
    assert across <= width
    assert down <= height
    assert across * down <= area
    assert scaled_size(across, down, area, multiple) == (across, down)


@given(sides, sides, st.integers(256 * 256, 1000 * 1000))
def test_packed_clips_get_the_size_that_pack_would_choose(width: int, height: int, area: int) -> None:
    assume(max(width, height) < 3 * min(width, height))
    bucket = choose_bucket(width, height, area)
    mine = scaled_size(width, height, area, 16)
    cover = max(mine[0] / width, mine[1] / height)
    cropped = 1 - mine[0] * mine[1] / (width * height * cover**2)
    assert cropped <= 1 - bucket.width * bucket.height / (bucket.scaled_width * bucket.scaled_height) + 0.02  # pack rounds to whole pixels first
    assert cropped < 0.1


def test_a_picture_that_fits_nowhere_is_said() -> None:
    with pytest.raises(ModelInputError, match=r"10x300 .* multiples of 16"):
        scaled_size(10, 300, 10**6, 16)


def test_covering_covers_in_one_direction_exactly() -> None:
    assert covering_size(832, 480, 64, 36) == (64, 37)
    assert covering_size(480, 832, 36, 64) == (37, 64)
    assert covering_size(64, 64, 64, 64) == (64, 64)


def test_a_box_stays_around_what_it_is_around() -> None:
    rgb = np.zeros((480, 832, 3), np.uint8)
    box = (0.25, 0.1, 0.5, 0.6)
    rgb[48:288, 208:416] = 255
    file = BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    width, height = 96, 96  # a square out of the middle
    bright = decode_picture(file.getvalue(), width, height)[..., 0] > 127
    x0, y0, x1, y1 = cropped_box(box, 832, 480, width, height)
    columns, rows = np.flatnonzero(bright.any(0)), np.flatnonzero(bright.any(1))
    assert abs(columns[0] - x0 * width) <= 1
    assert abs(columns[-1] + 1 - x1 * width) <= 1
    assert abs(rows[0] - y0 * height) <= 1
    assert abs(rows[-1] + 1 - y1 * height) <= 1


def test_a_box_is_cut_off_with_the_picture() -> None:
    assert cropped_box((-0.5, 0.0, 1.5, 1.0), 200, 100, 100, 100) == (0.0, 0.0, 1.0, 1.0)
