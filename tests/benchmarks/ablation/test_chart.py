"""The picture is a picture, and the same one for the same figures."""

import io

import numpy as np
from PIL import Image

from benchmarks.ablation.chart import draw
from benchmarks.ablation.scores import Scores

ARMS = {
    "superset": [[(100, Scores(0.5, 0.2, 0.3)), (200, Scores(0.1, 0.9, 0.8))], [(100, Scores(0.4, 0.2, 0.3)), (200, Scores(0.0, 1.0, 1.0))]],
    "clip alone": [[(100, Scores(0.7, 0.2, 0.3)), (200, Scores(1.0, 0.9, 0.8))]],
}


def test_it_is_drawn_in_ink_on_paper() -> None:
    drawn = draw(ARMS, chance=0.29)
    picture = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))
    assert picture.shape[1] == 11 * 110
    assert 0.5 < np.mean(picture.min(axis=2) == 255) < 0.99
    assert draw(ARMS, chance=0.29) == drawn
    assert draw(ARMS, chance=0.5) != drawn
