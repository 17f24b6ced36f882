"""The picture is a picture, and shows what was generated."""

import io

import torch
from PIL import Image

from benchmarks.ablation.drawn import samples
from benchmarks.ablation.pictures import draw


def test_it_shows_what_was_generated() -> None:
    one = samples(4, torch.Generator().manual_seed(0))
    drawn = draw(one, {"superset": one.clips}, rows=3)
    assert Image.open(io.BytesIO(drawn)).width > 400
    assert draw(one, {"superset": one.clips}, rows=3) == drawn
    assert draw(one, {"superset": -one.clips}, rows=3) != drawn


def test_fewer_samples_than_rows() -> None:
    one = samples(2, torch.Generator().manual_seed(0))
    assert draw(one, {}, rows=8)
