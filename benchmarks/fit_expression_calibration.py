"""Fit the calibration of expressions on labelled pictures and write its figures where the pipeline reads them.

    python -m benchmarks.fit_expression_calibration --data FOLDER

Only coefficients are written, no picture. How it does on pictures it was not fitted on: ``python -m benchmarks.accuracy --only expression``.
"""

import argparse
import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from benchmarks.expression_sets import LabelledFaces, read_faces
from pipeline.perception.expression_calibration import DESCRIPTORS, KNOWN, SHIPPED, Array, Calibration, descriptors, geometric_mean
from schemas.vocabulary import Expression

COMMAND = "python -m benchmarks.fit_expression_calibration --data FOLDER"
SETS = ("expression_jaffe", "expression_web")
NETWORK_PENALTY, MESH_PENALTY = 10.0, 30.0
"""How strongly the weights are held at the networks' geometric mean, and those of the mesh at 0. The two sets disagree about what a
class looks like (posed disgust is a frown in one, a sneer in the other): what is fitted freely on one is wrong on the other."""
OWN_SHARE = 0.5
LEAST_SPREAD = 0.02
CLEARLY_NEUTRAL = 0.6


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fit_expression_calibration", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled data")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="file to write; the pipeline's own when not given")
    options = parser.parse_args(arguments)
    calibration = fit([read_faces(options.data, name) for name in SETS])
    options.out.write_text(calibration.to_json())
    print(f"{options.out}: fitted on {calibration.fitted_on}")


def fit(sets: Sequence[LabelledFaces]) -> Calibration:
    """Fit on labelled sets, each of the same total weight; classes the networks do not know are left out.

    The neutral face is the median of what is neutral by label and clearly so: a person's own, found without labels, is compared with it.
    """
    used = [(faces, faces.seen & (faces.labels < KNOWN)) for faces in sets]
    neutral = np.nanmedian(np.vstack([descriptors(faces.features[rows & _clearly_neutral(faces)]) for faces, rows in used]), axis=0)
    values = np.vstack([descriptors(faces.features[rows]) for faces, rows in used])
    labels = np.concatenate([faces.labels[rows] for faces, rows in used])
    weight = np.concatenate([np.full(rows.sum(), 1 / (len(used) * rows.sum())) for _, rows in used])
    center, scale = np.zeros(DESCRIPTORS), np.ones(DESCRIPTORS)
    mesh = slice(2 * KNOWN, None)
    center[mesh] = neutral[mesh]
    scale[mesh] = np.nanstd(values[:, mesh], axis=0) + LEAST_SPREAD
    names = " and ".join(faces.name for faces in sets)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    start = Calibration(names, today, COMMAND, geometric_mean().weights, center, scale, neutral, OWN_SHARE)
    standard = start.standardized(values)
    weights = regress(standard, labels, weight, start.weights)
    weights *= sharpness(standard @ weights.T, labels, weight)
    return replace(start, weights=weights)


def _clearly_neutral(faces: LabelledFaces) -> NDArray[np.bool_]:
    likely = geometric_mean().probabilities(faces.features)[:, Expression.NEUTRAL]
    return np.asarray((faces.labels == Expression.NEUTRAL) & (likely >= CLEARLY_NEUTRAL), np.bool_)


def regress(values: Array, labels: NDArray[np.int64], weight: Array, start: Array) -> Array:
    """Multinomial logistic regression without intercepts, (7, DESCRIPTORS), penalised for leaving ``start``."""
    penalty = np.repeat([NETWORK_PENALTY, MESH_PENALTY], [2 * KNOWN, DESCRIPTORS - 2 * KNOWN])
    truth = np.eye(KNOWN)[labels]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(start.shape)
        scores = values @ weights.T
        log_probabilities = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        away = weights - start
        slope = (weight[:, None] * (np.exp(log_probabilities) - truth)).T @ values + penalty * away
        return float(-(weight[:, None] * truth * log_probabilities).sum() + 0.5 * (penalty * away**2).sum()), slope.ravel()

    return np.asarray(minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 2000}).x, np.float64).reshape(start.shape)


def sharpness(scores: Array, labels: NDArray[np.int64], weight: Array) -> float:
    """The factor on scores (N, 7) that makes their probabilities most likely (the inverse of a temperature; Guo et al., ICML 2017)."""

    def loss(factor: float) -> float:
        scaled = factor * scores
        return float(weight @ (np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(labels)), labels]))

    return float(minimize_scalar(loss, bounds=(0.1, 10.0), method="bounded").x)


if __name__ == "__main__":
    main()
