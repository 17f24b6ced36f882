"""Probabilities against the networks' own, and a person's neutral face against one that was put there."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.perception.expression_calibration import (
    DESCRIPTORS,
    FACEAPI,
    FEATURE_COUNT,
    FER,
    MESH,
    MESH_NAMES,
    MOVEMENTS,
    Calibration,
    descriptors,
    geometric_mean,
    movement,
    own_neutral,
    shipped,
)
from schemas.vocabulary import Expression


def features(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Answers of two networks and a mesh, drawn."""
    random = np.random.default_rng(seed)
    values = np.empty((count, FEATURE_COUNT), np.float32)
    for part in (FER, FACEAPI):
        values[:, part] = np.log(random.dirichlet(np.ones(7), count))
    values[:, MESH] = random.uniform(0, 1, (count, 52))
    return values


def test_untrained_is_the_geometric_mean_of_the_networks() -> None:
    values = features(20)
    product = np.sqrt(np.exp(values[:, FER]) * np.exp(values[:, FACEAPI]))
    np.testing.assert_allclose(geometric_mean().probabilities(values)[:, :7], product / product.sum(axis=1, keepdims=True), rtol=1e-4)


@given(st.integers(0, 10_000))
def test_probabilities_are_probabilities(seed: int) -> None:
    found = shipped().probabilities(features(5, seed))
    assert found.shape == (5, 8)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found[:, Expression.CONTEMPT] == 0).all()


@pytest.mark.parametrize("code", range(7))
def test_where_both_networks_are_sure_so_is_the_shipped_calibration(code: int) -> None:
    values = np.full((1, FEATURE_COUNT), np.nan, np.float32)
    shares = np.full(7, 0.01)
    shares[code] = 0.94
    values[0, FER] = values[0, FACEAPI] = np.log(shares)
    found = shipped().probabilities(values)[0]
    assert found.argmax() == code
    assert found[code] > 0.6


def test_without_networks_there_is_no_answer_and_without_a_mesh_there_is() -> None:
    values = features(3)
    values[0] = np.nan
    values[1, MESH] = np.nan
    found = shipped().probabilities(values)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1:]).all()


def test_sides_are_averaged_and_gaze_is_left_out() -> None:
    values = features(4)
    smile = (values[:, MESH.start + MESH_NAMES.index("mouthSmileLeft")] + values[:, MESH.start + MESH_NAMES.index("mouthSmileRight")]) / 2
    np.testing.assert_allclose(movement(values, "mouthSmile"), smile, rtol=1e-5)
    np.testing.assert_allclose(descriptors(values)[:, 14 + MOVEMENTS.index("mouthSmile")], smile, rtol=1e-5)
    looking = values.copy()
    looking[:, [MESH.start + number for number, name in enumerate(MESH_NAMES) if name.startswith("eyeLook")]] = 0.9
    np.testing.assert_array_equal(descriptors(looking), descriptors(values))
    assert len(MESH_NAMES) == len(set(MESH_NAMES)) == 52


def test_own_neutral_face_is_found_without_labels() -> None:
    random = np.random.default_rng(1)
    put_there = random.normal(size=DESCRIPTORS)
    values = np.vstack([put_there + random.normal(0, 0.05, (30, DESCRIPTORS)), random.normal(5, 1, (70, DESCRIPTORS))])
    probability = np.concatenate([np.full(30, 0.8), np.full(70, 0.3)])
    found = own_neutral(values, probability, 0.4, 8, 0.25)
    assert found is not None
    np.testing.assert_allclose(found, put_there, atol=0.06)
    assert own_neutral(values, probability, 0.9, 8, 0.25) is None, "nobody looks neutral"
    assert own_neutral(values, probability, 0.4, 31, 0.25) is None, "too few look neutral"


def one_who_looks_sad() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A neutral and a happy face of somebody whose mouth hangs: both networks add to sad."""
    faces = np.full((2, FEATURE_COUNT), np.nan, np.float32)
    shares = np.full((2, 7), 0.02)
    shares[0, Expression.NEUTRAL], shares[0, Expression.SAD] = 0.4, 0.5
    shares[1, Expression.HAPPY], shares[1, Expression.SAD] = 0.45, 0.45
    faces[:, FER] = faces[:, FACEAPI] = np.log(shares)
    return faces[:1], faces[1:]


def test_a_sad_looking_persons_faces_are_judged_against_it() -> None:
    neutral, happy = one_who_looks_sad()
    own = descriptors(neutral)[0]
    before, after = (np.vstack([shipped().probabilities(face, of)[0] for face in (neutral, happy)]) for of in (None, own))
    assert before[0].argmax() == Expression.SAD
    assert after[0].argmax() == Expression.NEUTRAL
    assert after[1].argmax() == Expression.HAPPY
    assert after[1, Expression.HAPPY] > before[1, Expression.HAPPY]


def test_a_face_more_neutral_than_others_is_left_as_it_is() -> None:
    values = features(6)
    own = shipped().neutral.copy()
    own[[0, 7]] += 3
    np.testing.assert_array_equal(shipped().probabilities(values, own), shipped().probabilities(values))


def test_a_file_says_what_the_calibration_is() -> None:
    calibration = shipped()
    again = Calibration.from_json(calibration.to_json())
    values = features(10)
    np.testing.assert_allclose(again.probabilities(values), calibration.probabilities(values), atol=1e-4)
    assert (again.fitted_on, again.fitted_at, again.command) == (calibration.fitted_on, calibration.fitted_at, calibration.command)
    assert calibration.fitted_on


def test_figures_of_other_descriptors_are_refused() -> None:
    with pytest.raises(ValueError, match="fit it again"):
        replace(shipped(), weights=np.zeros((7, 3)))
