from typing import Any

import numpy as np
import pytest

from pipeline.observations import Observations
from pipeline.select.quality import QualityOptions, measure_defects, score_quality
from tests.pipeline.drawn_observations import DrawnVideo

OPTIONS = QualityOptions()


def observed(**columns: Any) -> Observations:
    video = DrawnVideo()
    video.appear(video.shot(0, 0.25), 0, **columns)
    return Observations.from_table(video.observations_table)


@pytest.mark.parametrize(
    ("columns", "defect"),
    [
        ({}, None),
        ({"face_pixels": OPTIONS.min_face_pixels - 1}, "face_too_small"),
        ({"face": lambda _: False, "body_box": [0.4, 0.4, 0.5, 0.5]}, "person_too_small"),
        ({"face": lambda _: False, "body_box": None}, "person_too_small"),
        ({"face": lambda _: False}, None),
        ({"sharpness": OPTIONS.min_sharpness / 2}, "blurred"),
        ({"brightness": 0.02}, "too_dark"),
        ({"brightness": 0.2, "clipped": 0.7}, "too_dark"),
        ({"brightness": 0.97}, "too_bright"),
        ({"brightness": 0.8, "clipped": 0.7}, "too_bright"),
        ({"cut_off": 0.4}, "cut_off"),
        ({"cut_off": 0.4, "brightness": 0.02}, "too_dark"),
    ],
)
def test_defects(columns: dict[str, Any], defect: str | None) -> None:
    assert measure_defects(observed(**columns), OPTIONS).column().to_pylist() == [defect]


def test_a_perfect_picture_scores_one_and_the_formula_is_the_documented_one() -> None:
    perfect = {"face_pixels": 500.0, "sharpness": OPTIONS.full_sharpness, "face_score": 0.95, "brightness": 0.5}
    assert score_quality(observed(**perfect), OPTIONS) == pytest.approx(1)
    lesser = {"face_pixels": OPTIONS.full_face_pixels / 4, "brightness": OPTIONS.full_brightness / 2, "clipped": 0.2, "cut_off": 0.1, "face_score": 0.72}
    assert score_quality(observed(**perfect | lesser), OPTIONS) == pytest.approx(0.5 * 0.5 * 0.8 * 0.9 * 0.8, rel=1e-5)


@pytest.mark.parametrize("worse", [{"face_pixels": 60.0}, {"sharpness": 0.2}, {"brightness": 0.1}, {"clipped": 0.3}, {"cut_off": 0.2}, {"face_score": 0.7}])
def test_anything_worse_lowers_the_score(worse: dict[str, float]) -> None:
    assert score_quality(observed(**worse), OPTIONS) < score_quality(observed(), OPTIONS)


def test_quality_is_a_share_whatever_is_measured() -> None:
    video = DrawnVideo()
    generator = np.random.default_rng(0)
    shot = video.shot(0, 50)
    video.appear(
        shot,
        0,
        face=lambda time: time % 1 < 0.5,
        sharpness=lambda _: float(generator.exponential(OPTIONS.full_sharpness)),
        brightness=lambda _: float(generator.uniform()),
        clipped=lambda _: float(generator.uniform()),
        cut_off=lambda _: float(generator.uniform()),
    )
    quality = score_quality(Observations.from_table(video.observations_table), OPTIONS)
    assert quality.shape == (200,)
    assert ((quality >= 0) & (quality <= 1)).all()
    assert np.unique(quality).size > 100


def test_bounds_that_contradict_each_other_are_an_error() -> None:
    with pytest.raises(ValueError, match="min_sharpness"):
        QualityOptions(min_sharpness=2.0, full_sharpness=1.0)
