"""deepface's own emotion code on onnxruntime, with random weights in the real architecture: shapes, class order, crops."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.failures import InputError
from pipeline.perception.deepface import DeepFaceExpression, upright
from pipeline.perception.protocols import Face, Image
from schemas.vocabulary import Expression, FailureKind
from tests.pipeline.perception.networks import emotion_network

ORDER = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
"""deepface's, from its documentation."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DEEPFACE_BACKEND_ENGINE", raising=False)
    monkeypatch.setenv("DEEPFACE_HOME", "nowhere")
    (tmp_path / ".deepface" / "weights").mkdir(parents=True)
    return tmp_path


def weights(home: Path, suffix: str = ".onnx") -> Path:
    return home / ".deepface" / "weights" / f"facial_expression_model_weights{suffix}"


def noise(seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (300, 400, 3), np.uint8)


FACE = Face(np.array([100, 80, 220, 240], np.float32), np.array([[130, 140], [190, 140], [160, 170], [140, 200], [180, 200]], np.float32), 0.9)


@pytest.mark.parametrize("position", range(7))
def test_classes_arrive_at_their_codes(home: Path, position: int) -> None:
    emotion_network(weights(home), favourite=position)
    model = DeepFaceExpression(home)
    estimate = model.classify(noise(), FACE, None)
    assert estimate.probabilities.shape == (8,)
    assert estimate.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert Expression(int(estimate.probabilities.argmax())).word == ORDER[position]
    assert estimate.probabilities[Expression.CONTEMPT] == 0
    np.testing.assert_allclose(np.exp(estimate.features), estimate.probabilities[[int(Expression.from_word(word)) for word in ORDER]], rtol=1e-3, atol=1e-6)
    assert model.name == "deepface (facial_expression_model_weights.onnx)"
    model.close()


def test_it_looks_at_the_face_alone(home: Path) -> None:
    emotion_network(weights(home), favourite=0)
    model = DeepFaceExpression(home)
    image = noise()
    elsewhere, inside = image.copy(), image.copy()
    elsewhere[:70], elsewhere[:, 240:] = 0, 255
    inside[120:200, 120:200] = 255
    answer = model.classify(image, FACE, None).features
    np.testing.assert_allclose(model.classify(elsewhere, FACE, None).features, answer, atol=1e-5)
    assert np.abs(model.classify(inside, FACE, None).features - answer).max() > 1e-3


def test_the_crop_is_the_box() -> None:
    image = noise()
    np.testing.assert_array_equal(upright(image, FACE), image[80:240, 100:220])


@pytest.mark.parametrize("degrees", [-40, 15, 70])
def test_the_crop_makes_the_eyes_level(degrees: float) -> None:
    smooth = np.asarray(cv2.normalize(cv2.GaussianBlur(noise(), (0, 0), 8), None, 0, 255, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]
    x, y = (float(middle) for middle in (FACE.box[:2] + FACE.box[2:]) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D((x, y), degrees, 1.0))
    turned = np.asarray(cv2.warpAffine(smooth, matrix, (400, 300)), np.uint8)
    points = (FACE.points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    expected, inner = upright(smooth, FACE).astype(int), np.s_[40:-40, 20:-20]
    assert np.abs(upright(turned, Face(FACE.box, points, 0.9)).astype(int) - expected)[inner].mean() < 2
    assert np.abs(upright(turned, FACE).astype(int) - expected)[inner].mean() > 8


def test_a_missing_package_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emotion_network(weights(home), favourite=0)
    monkeypatch.setitem(sys.modules, "deepface.commons", None)
    with pytest.raises(InputError, match=r"in the project's clone: pip install -c constraints\.txt '\.\[deepface\]', and for .*\.onnx also onnx") as caught:
        DeepFaceExpression(home)
    assert caught.value.kind is FailureKind.MISSING_DEPENDENCY


def test_missing_weights_are_named(home: Path) -> None:
    with pytest.raises(InputError, match="facial_expression_model_weights") as caught:
        DeepFaceExpression(home)
    assert caught.value.kind is FailureKind.MISSING_DEPENDENCY
    assert str(weights(home, ".h5")) in str(caught.value)
