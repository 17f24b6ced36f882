"""Crops against coordinates painted into the picture; the whole classifier on a face that goes from crying to laughing."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.assets import fetch
from pipeline.perception.expression import FER_CLASSES, SQUARE_SCALE, SQUARE_SIDE, EmbeddedExpression, View, face_square, in_vocabulary
from pipeline.perception.expression_calibration import FACEAPI, FEATURE_COUNT, FER, LEAST_LOG_PROBABILITY, MESH
from pipeline.perception.faces import YuNet
from pipeline.perception.orientation import FaceMesh
from pipeline.perception.protocols import Face, Image
from schemas.vocabulary import Expression
from tests.sample_frames import frame

HEIGHT, WIDTH = 200, 250


def painted() -> Image:
    """Red is x, green is y."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x, y, np.zeros_like(x)], axis=2).astype(np.uint8)


def face(x0: float, y0: float, x1: float, y1: float) -> Face:
    return Face(np.array([x0, y0, x1, y1], np.float32), np.zeros((5, 2), np.float32), 1.0)


@given(st.integers(60, 180), st.integers(60, 140), st.integers(20, 90), st.sampled_from([1.0, 1.1, 1.2]))
def test_a_view_is_centred_on_the_face_and_as_large_as_it_says(x: int, y: int, side: int, scale: float) -> None:
    crop = View(scale).of(face_square(painted(), face(x - side / 2, y - side / 3, x + side / 2, y + side / 3)), 64).astype(float)
    assert crop[..., 0].mean() == pytest.approx(x - 0.5, abs=1.5)
    assert crop[..., 1].mean() == pytest.approx(y - 0.5, abs=1.5)
    if x - 0.6 * side >= 0 and x + 0.6 * side <= WIDTH:
        assert np.ptp(crop[..., 0]) == pytest.approx(scale * side, rel=0.06, abs=3)


def test_mirrored_is_the_same_crop_turned_over() -> None:
    square = face_square(painted(), face(80, 50, 140, 120))
    np.testing.assert_array_equal(View(1.1, mirrored=True).of(square, 64), View(1.1).of(square, 64)[:, ::-1])


def test_beyond_the_image_its_edge_is_repeated() -> None:
    image = np.full((100, 100, 3), 90, np.uint8)
    for box in ((-50, -60, 40, 40), (70, 30, 160, 170), (-40, -40, 140, 140), (120, 120, 160, 160)):
        square = face_square(image, face(*box))
        assert square.shape == (SQUARE_SIDE, SQUARE_SIDE, 3)
        assert (square == 90).all()
    corner = face_square(painted(), face(-30, 40, 30, 100)).astype(float)
    assert (corner[:, : int(SQUARE_SIDE / 2 * 0.9), 0] == 0).all(), "left of the image is its first column"
    assert corner[:, -1, 0].mean() == pytest.approx(30 * SQUARE_SCALE, abs=2)


def test_classes_come_in_the_vocabularys_order() -> None:
    ordered = in_vocabulary(np.array([[-0.1, -2.0, -3.0, -4.0, -5.0, -6.0, -99.0]]), FER_CLASSES)[0]
    assert ordered.tolist() == pytest.approx([LEAST_LOG_PROBABILITY, -4.0, -5.0, -0.1, -6.0, -3.0, -2.0])


@pytest.fixture(scope="module")
def models() -> Iterator[tuple[YuNet, FaceMesh, EmbeddedExpression]]:
    found = YuNet(fetch("yunet")), FaceMesh(fetch("face_landmarker"))
    classifier = EmbeddedExpression(fetch("faceapi_expression"), fetch("faceapi_expression_manifest"), fetch("fer"))
    yield *found, classifier
    for model in (*found, classifier):
        model.close()


@pytest.mark.parametrize(("second", "expression"), [(1.8, Expression.SAD), (13.5, Expression.HAPPY), (18.0, Expression.HAPPY)])
def test_crying_is_sad_and_laughing_is_happy(models: tuple[YuNet, FaceMesh, EmbeddedExpression], second: float, expression: Expression) -> None:
    detector, mesh, classifier = models
    image = frame("cry_to_laugh", second)
    found = detector.detect(image)[0]
    pose = mesh.estimate(image, found)
    assert pose is not None
    estimate = classifier.classify(image, found, pose)
    assert estimate.probabilities.argmax() == expression
    assert estimate.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert estimate.probabilities[Expression.CONTEMPT] == 0
    np.testing.assert_array_equal(estimate.features[MESH], pose.coefficients)


def test_without_a_mesh_the_networks_decide(models: tuple[YuNet, FaceMesh, EmbeddedExpression]) -> None:
    detector, _, classifier = models
    image = frame("cry_to_laugh", 18.0)
    estimate = classifier.classify(image, detector.detect(image)[0], None)
    assert estimate.probabilities.argmax() == Expression.HAPPY
    assert estimate.features.shape == (FEATURE_COUNT,)
    assert np.isnan(estimate.features[MESH]).all()
    assert np.isfinite(estimate.features[: MESH.start]).all()
    assert (np.exp(estimate.features[FER]).sum(), np.exp(estimate.features[FACEAPI]).sum()) <= (1.01, 1.01), "a geometric mean of shares"


def test_the_same_face_mirrored_reads_alike(models: tuple[YuNet, FaceMesh, EmbeddedExpression]) -> None:
    detector, _, classifier = models
    image = frame("cry_to_laugh", 14.0)
    square = face_square(image, detector.detect(image)[0])
    views = (View(1.1), View(1.1, mirrored=True))
    straight, turned = classifier.faceapi_log_probabilities(square, views), classifier.faceapi_log_probabilities(square[:, ::-1], views)
    np.testing.assert_allclose(straight[0], turned[1], atol=1e-3)
    np.testing.assert_allclose(classifier.fer_log_probabilities(square, views)[1], classifier.fer_log_probabilities(square[:, ::-1], views)[0], atol=1e-3)


def test_closed_says_so() -> None:
    classifier = EmbeddedExpression(fetch("faceapi_expression"), fetch("faceapi_expression_manifest"), fetch("fer"))
    classifier.close()
    classifier.close()
    with pytest.raises(ValueError, match="closed"):
        classifier.classify(painted(), face(50, 50, 100, 100), None)
