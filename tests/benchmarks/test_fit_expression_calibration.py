"""Fitting on drawn faces: towards the truth, not far from the networks, and worth more than either."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.expression_sets import LabelledFaces
from benchmarks.fit_expression_calibration import fit, regress, sharpness
from pipeline.perception.expression_calibration import DESCRIPTORS, FACEAPI, FEATURE_COUNT, FER, MESH, Calibration, geometric_mean
from schemas.vocabulary import Expression


def drawn(count: int, seed: int, noise: float = 1.5) -> LabelledFaces:
    """Faces two networks see through independent noise; the last has no face, one is of a class they do not know."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, count)
    features = np.empty((count, FEATURE_COUNT), np.float32)
    for part in (FER, FACEAPI):
        scores = 2.0 * np.eye(7)[labels] + random.normal(0, noise, (count, 7))
        features[:, part] = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    features[:, MESH] = random.uniform(0, 0.3, (count, 52))
    features[-1] = np.nan
    labels[-2] = Expression.CONTEMPT
    return LabelledFaces("drawn", labels, ("",) * count, features, features[:, FER], features[:, FACEAPI], np.zeros((count, 2), np.float32))


def loss(calibration: Calibration, faces: LabelledFaces) -> float:
    known = faces.seen & (faces.labels < 7)
    return float(-np.log(calibration.probabilities(faces.features[known])[np.arange(known.sum()), faces.labels[known]]).mean())


def test_probabilities_fit_better_than_the_plain_mean_on_other_faces() -> None:
    calibration, others = fit([drawn(600, 0)]), drawn(600, 1)
    assert loss(calibration, others) < loss(geometric_mean(), others) - 0.02


def test_probabilities_are_as_often_right_as_they_say() -> None:
    calibration, others = fit([drawn(2000, 0)]), drawn(2000, 1)
    found = calibration.probabilities(others.features[:-2])
    said, right = found.max(axis=1), found.argmax(axis=1) == others.labels[:-2]
    for low, high in ((0.3, 0.5), (0.5, 0.7), (0.7, 0.9)):
        among = (said >= low) & (said < high)
        assert among.sum() > 100
        assert abs(right[among].mean() - said[among].mean()) < 0.08


def test_sets_count_the_same_however_large() -> None:
    small, large = drawn(100, 0, noise=0.5), drawn(1000, 1, noise=3.0)
    alone, both = (fit(sets) for sets in ([large], [small, large]))
    assert loss(both, small) < loss(alone, small)
    assert both.fitted_on == "drawn and drawn"


def test_weights_move_to_where_the_penalised_likelihood_is_flat() -> None:
    random = np.random.default_rng(2)
    values, labels = random.normal(size=(200, DESCRIPTORS)), random.integers(0, 7, 200)
    weight, start = np.full(200, 1 / 200), geometric_mean().weights
    found = regress(values, labels, weight, start)

    def objective(weights: NDArray[np.float64]) -> float:
        scores = values @ weights.T
        likelihood = (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))[np.arange(200), labels]
        penalty = np.repeat([10.0, 30.0], [14, DESCRIPTORS - 14]) * (weights - start) ** 2
        return float(-weight @ likelihood + penalty.sum() / 2)

    for _ in range(20):
        direction = random.normal(size=found.shape)
        direction *= 0.05 / np.linalg.norm(direction)
        assert objective(found) < objective(found + direction)


def test_sharpness_undoes_a_known_temperature() -> None:
    random = np.random.default_rng(5)
    scores = random.normal(0, 2, (20_000, 7))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = (random.random(20_000)[:, None] > shares.cumsum(axis=1)).sum(axis=1).clip(0, 6)
    assert abs(sharpness(scores / 3, labels, np.full(20_000, 1 / 20_000)) - 3) < 0.15
