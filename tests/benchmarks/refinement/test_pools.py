"""Pools are characters as select leaves them."""

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.expression_sets import LabelledFaces
from benchmarks.refinement.pools import SECONDS_APART, believed, classify_faces, pool, read_jpegs, split
from pipeline.perception.expression_calibration import descriptors, geometric_mean
from pipeline.refine.options import PictureOptions
from pipeline.select.ranking import RankingOptions
from schemas.vocabulary import Expression, RejectReason, Status
from tests.benchmarks.refinement.drawn_set import candidates_of, drawn_faces

HAPPY, SAD, ANGRY = Expression.HAPPY, Expression.SAD, Expression.ANGRY


def test_rows_are_what_select_would_have_said() -> None:
    faces = candidates_of([(HAPPY, HAPPY, 0.8, True), (SAD, HAPPY, 0.9, True), (ANGRY, HAPPY, 0.7, True), (SAD, SAD, 0.5, False)])
    found = pool("somebody", faces, np.arange(4), RankingOptions(expression_anchors=2))
    rows = found.anchors.to_pylist()
    assert [(row["subclass"], row["likeliest"], row["status"], row["reason"], row["rank"]) for row in rows] == [
        ("happy", None, Status.ACCEPTED, None, 1),
        ("happy", None, Status.ACCEPTED, None, 0),
        ("happy", None, Status.REJECTED, RejectReason.OUTRANKED, None),
        (None, "sad", Status.REJECTED, RejectReason.UNCERTAIN_EXPRESSION, None),
    ]
    assert [row["selected_reason"] for row in rows] == [row["reason"] for row in rows]
    assert [row["pts_ns"] for row in rows] == [number * SECONDS_APART * 10**9 for number in range(4)]
    assert list(found.truth.values()) == ["happy", "sad", "angry", "sad"]


def test_a_set_is_split_into_as_many_characters_as_it_stands_for() -> None:
    faces = candidates_of(drawn_faces(31, 0))
    of_web, again, otherwise = (split("expression_web", faces, seed) for seed in (0, 0, 1))
    assert [len(one.rows) for one in of_web] == [11, 10, 10]
    assert sorted(np.concatenate([one.rows for one in of_web])) == list(range(31))
    assert [one.anchors.equals(other.anchors) for one, other in zip(of_web, again, strict=True)] == [True] * 3
    assert any(set(one.rows) != set(other.rows) for one, other in zip(of_web, otherwise, strict=True))
    assert [len(one.rows) for one in split("expression_jaffe", faces, 0)] == [31]


def test_without_thresholds_the_classifier_is_believed_from_a_confidence_on() -> None:
    faces = believed(candidates_of([(HAPPY, HAPPY, 0.8, True), (SAD, SAD, 0.5, False), (SAD, ANGRY, 0.2, False)]), 0.3)
    assert faces.said.tolist() == [HAPPY, SAD, -1]
    assert faces.reasons.free.tolist() == [True, True, False]


def likely(neutral: float, sad: float) -> list[float]:
    """Features of a face that both networks see alike, and the mesh at rest."""
    rest = (1 - neutral - sad) / 5
    return [*np.log([neutral, rest, sad, rest, rest, rest, rest] * 2), *[0.0] * 52]


def test_whose_face_is_sad_by_nature_is_not_sad_where_it_is_known_whose_it_is() -> None:
    features = np.array([likely(0.45, 0.4)] * 8, np.float32)
    plain = descriptors(np.array([likely(0.9, 0.05)], np.float32))[0]
    calibration = replace(geometric_mean(), own_share=0.5, neutral=plain)
    zeros = np.zeros((8, 7), np.float32)

    def confidence(person: str) -> float:
        faces = LabelledFaces("drawn", np.zeros(8, np.int64), (person,) * 8, features, zeros, zeros, zeros[:, :2])
        return float(classify_faces(faces, calibration).confidence.mean())

    assert confidence("") == pytest.approx(0.45, abs=1e-3)
    assert confidence("somebody") > 0.6


def test_pictures_are_sent_no_larger_than_the_model_looks_at(tmp_path: Path) -> None:
    folder = tmp_path / "labelled" / "drawn"
    (folder / "images").mkdir(parents=True)
    for name, side in (("small.png", 40), ("large.png", 600)):
        cv2.imwrite(str(folder / "images" / name), np.full((side, side, 3), 90, np.uint8))
    (folder / "labels.csv").write_text("file,expression\nsmall.png,happy\nlarge.png,sad\n")
    jpegs = read_jpegs(tmp_path, "drawn", PictureOptions(pixels=100 * 100))
    assert [Image.open(io.BytesIO(jpeg)).size for jpeg in jpegs] == [(40, 40), (100, 100)]
    (folder / "images" / "small.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"small\.png"):
        read_jpegs(tmp_path, "drawn", PictureOptions())
