"""The picture is a picture, and the same one for the same figures."""

import io

import numpy as np
from PIL import Image

from benchmarks.refinement.chart import draw
from tests.benchmarks.refinement.drawn_curves import ALONE, UNCHECKED, drawn_curves


def test_it_is_drawn_in_ink_on_paper() -> None:
    drawn = draw(drawn_curves(), ALONE, UNCHECKED)
    picture = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))
    assert picture.shape[1] == 11 * 130
    assert 0.5 < np.mean(picture.min(axis=2) == 255) < 0.99
    assert draw(drawn_curves(), ALONE, UNCHECKED) == drawn
    assert draw(drawn_curves((20, 30, 40)), ALONE, UNCHECKED) != drawn
