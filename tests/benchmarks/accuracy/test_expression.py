"""The measure on made-up answers, and the rows on drawn sets."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import expression
from benchmarks.accuracy.expression import measure, precision_of_most_confident
from benchmarks.expression_sets import LabelledFaces
from schemas.vocabulary import Expression
from tests.benchmarks.test_fit_expression_calibration import drawn


def test_pictures_without_a_face_count_and_come_last() -> None:
    probabilities = np.full((10, 7), np.nan)
    for row, (code, confidence) in enumerate([(1, 0.9), (1, 0.8), (2, 0.7), (2, 0.6)]):
        probabilities[row] = (1 - confidence) / 6
        probabilities[row, code] = confidence
    labels = np.array([1, 0, 2, 2, *[1] * 6])
    value, per_class = precision_of_most_confident(probabilities, labels)
    assert value == pytest.approx(2 / 3), "3 of 10 are the most confident; one of them is wrong"
    assert per_class == {"happy": 0.5, "sad": 1.0}


def test_rows_of_drawn_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read(data: Path, name: str) -> LabelledFaces:
        assert data == tmp_path
        faces = drawn(200, len(name))
        persons = tuple(f"person {number % 4}" for number in range(200)) if name == "expression_jaffe" else faces.persons
        return LabelledFaces(name, faces.labels, persons, *(getattr(faces, field) for field in ("features", "fer", "faceapi", "angles")))

    monkeypatch.setattr(expression, "read_faces", read)
    rows = measure(tmp_path)
    assert [row.set for row in rows] == ["expression_jaffe"] * 6 + ["expression_web"] * 5
    assert all(row.n == 200 for row in rows)
    alone, _, mean, fitted = (row.value for row in rows[-5:-1])
    assert min(mean, fitted) > alone, "two networks with independent errors are more often right"
    assert all("expression_jaffe" in row.measure for row in rows if row.set == "expression_web" and "fitted on e" in row.measure)
    assert set(rows[0].per_class) <= set(Expression.words())
