"""The insightface adapters, through insightface's own FaceAnalysis, on packs of small networks whose answers are known."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.failures import InputError
from pipeline.perception.insightface import InsightFaceDetector, InsightFaceEmbedder, InsightFaceOptions, InsightFacePack, InsightFacePose
from pipeline.perception.protocols import Face, Image
from schemas.vocabulary import AngleSource, FailureKind
from tests.pipeline.perception.networks import HALF, POINTS, colour_embedder, constant_landmarks, red_detector

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> InsightFacePack:
    folder = tmp_path_factory.mktemp("pack")
    red_detector(folder / "det_red.onnx")
    colour_embedder(folder / "colours.onnx")
    return InsightFacePack(folder, InsightFaceOptions(score=0.6))


def picture(height: int = 640, width: int = 640, colour: tuple[int, int, int] = (60, 60, 60)) -> Image:
    return np.full((height, width, 3), colour, np.uint8)


def face_at(x: float, y: float) -> Face:
    return Face(np.array([x - HALF, y - HALF, x + HALF, y + HALF], np.float32), POINTS + np.array([x, y], np.float32), 0.9)


@pytest.mark.parametrize(("height", "width"), [(640, 640), (320, 640), (1280, 1280)])
def test_boxes_points_and_scores_are_those_of_the_frame(pack: InsightFacePack, height: int, width: int) -> None:
    image, scale = picture(height, width), max(height, width) / 640
    cell = round(8 * scale)
    image[10 * cell : 11 * cell, 30 * cell : 31 * cell] = RED
    faces = InsightFaceDetector(pack).detect(image)
    assert len(faces) == 1
    x, y = 240 * scale, 80 * scale
    np.testing.assert_allclose(faces[0].box, np.array([x - HALF * scale, y - HALF * scale, x + HALF * scale, y + HALF * scale]), atol=1e-3)
    np.testing.assert_allclose(faces[0].points, POINTS * scale + [x, y], atol=1e-3)
    assert faces[0].score == pytest.approx(math.tanh(255 / 128), abs=1e-3)


def test_colours_are_not_swapped(pack: InsightFacePack) -> None:
    image = picture()
    image[80:88, 240:248] = BLUE
    assert InsightFaceDetector(pack).detect(image) == []


def test_best_first(pack: InsightFacePack) -> None:
    image = picture()
    image[80:88, 80:88] = (200, 60, 60)
    image[400:408, 400:408] = RED
    scores = [face.score for face in InsightFaceDetector(pack).detect(image)]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 2


@pytest.mark.parametrize("colour", [RED, GREEN, BLUE, (10, 200, 90)])
def test_embedding_is_that_of_the_aligned_face(pack: InsightFacePack, colour: tuple[int, int, int]) -> None:
    embedding = InsightFaceEmbedder(pack).embed(picture(colour=colour), face_at(320, 320))
    expected = (np.array(colour) - 127.5) / 127.5
    np.testing.assert_allclose(embedding, expected / np.linalg.norm(expected), atol=1e-3)
    assert embedding.dtype == np.float32


def turn(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Turns a head in image coordinates (x right, y down, z to the camera), by the project's signs, pitch first."""
    y, p, r = np.radians([yaw, pitch, roll])
    nose_to_the_right = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nose_up = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    clockwise = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(clockwise @ nose_to_the_right @ nose_up)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (-40, 0, 0), (40, 0, 0), (0, 25, 0), (0, -25, 0), (0, 0, 20), (-30, 10, -15)])
def test_angles_have_the_projects_signs(tmp_path: Path, yaw: float, pitch: float, roll: float) -> None:
    from insightface.data import get_object

    shape = np.asarray(get_object("meanshape_68.pkl"), np.float64)
    turned = (shape @ turn(yaw, pitch, roll).T * 0.5).astype(np.float32)
    nose, eyes = turned[30], turned[36:48].mean(axis=0)
    assert (yaw == 0) or (np.sign(nose[0] - eyes[0]) == np.sign(yaw)), "the drawn head itself looks to the side that the sign means"
    red_detector(tmp_path / "det_red.onnx")
    constant_landmarks(tmp_path / "1k3d68.onnx", turned)
    pose = InsightFacePose(InsightFacePack(tmp_path)).estimate(picture(), face_at(300, 200))
    assert pose is not None
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((yaw, pitch, roll), abs=0.2)
    assert pose.source is AngleSource.MODEL


def test_names_say_which_weights(pack: InsightFacePack) -> None:
    assert InsightFaceDetector(pack).name == "insightface (det_red)"
    assert InsightFaceEmbedder(pack).name == "insightface (colours)"


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(InputError, match=r"in the project's clone: pip install -c constraints\.txt '\.\[insightface\]'") as caught:
        InsightFacePack(tmp_path)
    assert caught.value.kind is FailureKind.MISSING_DEPENDENCY


def test_what_a_pack_lacks_is_named(pack: InsightFacePack, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1k3d68\.onnx") as caught:
        InsightFacePose(pack)
    assert caught.value.kind is FailureKind.MISSING_DEPENDENCY
    with pytest.raises(InputError, match="no ONNX file"):
        InsightFacePack(tmp_path)
    colour_embedder(tmp_path / "colours.onnx")
    with pytest.raises(InputError, match="no detector"):
        InsightFacePack(tmp_path)
