from dataclasses import astuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.positions import AnchorClass
from schemas.vocabulary import AnchorKind, Expression, Viewpoint
from training.data.augment import augment, mirror_class
from training.options import AugmentOptions

WIDTH, HEIGHT = 200, 100
LEFT = AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.LEFT)
RIGHT = AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.RIGHT)
HAPPY = AnchorClass(AnchorKind.EXPRESSION, Expression.HAPPY)


def ramp() -> NDArray[np.uint8]:
    """Red says how far right, green how far down."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rgb[..., 0] = (np.arange(WIDTH) + 0.5) / WIDTH * 250
    rgb[..., 1] = ((np.arange(HEIGHT) + 0.5) / HEIGHT * 250)[:, None]
    return rgb


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shown(rgb: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Which part of the ramp is seen: x0, y0, x1, y1."""
    red, green = rgb[HEIGHT // 2, :, 0] / 250, rgb[:, WIDTH // 2, 1] / 250
    return red[0], green[0], red[-1], green[-1]


def test_without_flags_nothing_changes() -> None:
    assert not any(astuple(AugmentOptions()))
    rgb, anchor = augment(ramp(), LEFT, (0.4, 0.4, 0.6, 0.6), AugmentOptions(), seeded(0))
    assert np.array_equal(rgb, ramp())
    assert anchor == LEFT


@pytest.mark.parametrize("box", [(0.4, 0.4, 0.6, 0.6), (0.0, 0.3, 0.5, 1.0), (-0.2, 0.05, 0.97, 0.9), (0.0, 0.0, 1.0, 1.0)])
def test_a_crop_is_small_keeps_the_box_and_the_shape(box: tuple[float, float, float, float]) -> None:
    parts = [shown(augment(ramp(), HAPPY, box, AugmentOptions(crop=True), seeded(seed))[0]) for seed in range(40)]
    for x0, y0, x1, y1 in parts:
        assert x0 - 0.015 <= max(0, box[0])
        assert y0 - 0.015 <= max(0, box[1])
        assert x1 + 0.015 >= min(1, box[2])
        assert y1 + 0.015 >= min(1, box[3])
        assert x1 - x0 > 0.88
        assert y1 - y0 == pytest.approx(x1 - x0, abs=0.02)
    if box == (0.4, 0.4, 0.6, 0.6):
        assert min(x1 - x0 for x0, _, x1, _ in parts) < 0.93
        assert len({round(x0, 2) for x0, _, _, _ in parts}) > 5


def test_without_a_box_nothing_is_cropped() -> None:
    assert np.array_equal(augment(ramp(), HAPPY, None, AugmentOptions(crop=True), seeded(0))[0], ramp())


def test_about_every_second_anchor_is_mirrored_and_its_label_with_it() -> None:
    results = [augment(ramp(), LEFT, None, AugmentOptions(flip=True), seeded(seed)) for seed in range(200)]
    mirrored = [np.array_equal(rgb, ramp()[:, ::-1]) for rgb, _ in results]
    assert all(turned or np.array_equal(rgb, ramp()) for turned, (rgb, _) in zip(mirrored, results, strict=True))
    assert [anchor == RIGHT for _, anchor in results] == mirrored
    assert 70 < sum(mirrored) < 130


def test_only_profiles_have_another_mirror_image() -> None:
    assert mirror_class(RIGHT) == LEFT
    assert {anchor for anchor in AnchorClass.all() if mirror_class(anchor) != anchor} == {LEFT, RIGHT}
    assert mirror_class(HAPPY) == HAPPY  # the code of happy is that of left


def test_colours_change_a_little() -> None:
    options = AugmentOptions(colour=True)
    plain = np.full((8, 8, 3), (90, 120, 150), np.uint8)
    changed = np.stack([augment(plain, HAPPY, None, options, seeded(seed))[0][0, 0] for seed in range(60)]).astype(float)
    luma = changed @ [0.2126, 0.7152, 0.0722]
    true = float(np.array([90, 120, 150]) @ [0.2126, 0.7152, 0.0722])
    assert 0.89 < luma.min() / true < 0.95
    assert 1.05 < luma.max() / true < 1.11
    spread = changed[:, 2] - changed[:, 0]
    assert 60 * 0.9**3 - 1 < spread.min() < 57
    assert 63 < spread.max() < 60 * 1.1**3 + 1
    assert np.all(np.argsort(changed, axis=1) == [0, 1, 2])


def test_grey_stays_grey() -> None:
    rgb = np.repeat(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], 3, axis=2)
    for seed in range(10):
        changed = augment(rgb, HAPPY, None, AugmentOptions(colour=True), seeded(seed))[0].astype(int)
        assert np.abs(changed - changed[..., :1]).max() <= 1


def test_one_flag_leaves_the_choices_of_the_others() -> None:
    alone = [augment(ramp(), LEFT, None, AugmentOptions(flip=True), seeded(seed))[1] for seed in range(30)]
    together = [augment(ramp(), LEFT, (0, 0, 0.5, 0.5), AugmentOptions(True, True, True), seeded(seed))[1] for seed in range(30)]
    assert alone == together
