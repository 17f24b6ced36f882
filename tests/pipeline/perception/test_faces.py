"""YuNet on real frames, and on frames made from them whose truth is known by construction."""

import cv2
import numpy as np
import pytest

from pipeline.assets import fetch
from pipeline.perception.faces import FaceOptions, YuNet
from pipeline.perception.protocols import Face, Image
from tests.sample_frames import frame


@pytest.fixture(scope="module")
def detector() -> YuNet:
    return YuNet(fetch("yunet"))


def resized(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def only(faces: list[Face]) -> Face:
    assert len(faces) == 1
    return faces[0]


@pytest.mark.parametrize(("asset", "second"), [("single_face", 1.0), ("cry_to_laugh", 0.0), ("cry_to_laugh", 8.0), ("cry_to_laugh", 18.0)])
def test_a_face_and_its_points(detector: YuNet, asset: str, second: float) -> None:
    face = only(detector.detect(frame(asset, second)))
    right_eye, left_eye, nose, right_mouth, left_mouth = face.points
    assert face.score >= 0.7
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])
    assert (face.points > face.box[:2]).all()
    assert (face.points < face.box[2:]).all()
    assert face.box.dtype == np.float32
    assert face.points.dtype == np.float32


def test_nobody(detector: YuNet) -> None:
    assert detector.detect(frame("no_face", 1.0)) == []


@pytest.mark.parametrize("shape", [(1, 1), (7, 40), (20, 20), (33, 31), (32, 640), (640, 20)])
def test_tiny_and_narrow_pictures(detector: YuNet, shape: tuple[int, int]) -> None:
    """OpenCV alone answers with faces made of uninitialised memory on some of them, now and then."""
    for _ in range(20):
        assert detector.detect(frame("single_face", 1.0))
        assert detector.detect(np.full((*shape, 3), 128, np.uint8)) == []


def test_coordinates_are_those_of_the_frame(detector: YuNet) -> None:
    image = frame("single_face", 1.0)
    height, width = image.shape[:2]
    small = only(detector.detect(image))
    # twice as large, and with margins: larger than what the detector looks at, so it has to scale down and back
    larger = np.pad(resized(image, width * 2, height * 2), ((50, 0), (100, 30), (0, 0)))
    large = only(detector.detect(larger))
    tolerance = 0.04 * float(small.box[3] - small.box[1])
    np.testing.assert_allclose((large.points - [100, 50]) / 2, small.points, atol=tolerance)
    np.testing.assert_allclose((large.box - [100, 50, 100, 50]) / 2, small.box, atol=2 * tolerance)


def test_a_mirrored_frame_has_mirrored_points(detector: YuNet) -> None:
    image = frame("single_face", 1.0)
    face, mirrored = only(detector.detect(image)), only(detector.detect(np.ascontiguousarray(image[:, ::-1])))
    expected = face.points[[1, 0, 2, 4, 3]]
    expected[:, 0] = image.shape[1] - 1 - expected[:, 0]
    np.testing.assert_allclose(mirrored.points, expected, atol=0.04 * float(face.box[3] - face.box[1]))


def long_shot() -> tuple[Image, tuple[int, int], float]:
    """A 1080p frame with a face about 48 pixels high; where the small picture lies in it, and its scale."""
    image = frame("single_face", 1.0)
    scale = 48 / 220
    small = resized(image, round(image.shape[1] * scale), round(image.shape[0] * scale))
    canvas = np.full((1080, 1920, 3), 96, np.uint8)
    canvas[500 : 500 + small.shape[0], 1300 : 1300 + small.shape[1]] = small
    return canvas, (1300, 500), scale


def test_small_faces_in_a_long_shot_are_found_by_the_second_look(detector: YuNet) -> None:
    canvas, corner, scale = long_shot()
    truth = only(detector.detect(frame("single_face", 1.0))).points * scale + corner
    np.testing.assert_allclose(only(detector.detect(canvas)).points, truth, atol=6)
    assert YuNet(fetch("yunet"), FaceOptions(long_shot_face=0.0)).detect(canvas) == []


def test_faces_too_small_to_be_told_apart_are_left_out(detector: YuNet) -> None:
    canvas, _, _ = long_shot()
    height = only(detector.detect(canvas)).box
    assert YuNet(fetch("yunet"), FaceOptions(least_pixels=float(height[3] - height[1]) + 1)).detect(canvas) == []


def test_best_first_and_nobody_twice(detector: YuNet) -> None:
    image, (canvas, _, _) = frame("single_face", 1.0), long_shot()
    canvas[:540, :960] = resized(image, 960, 540)
    faces = detector.detect(canvas)
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    assert len(faces) == 1, "the large face makes it a close shot: the small one is not looked for"
    both = YuNet(fetch("yunet"), FaceOptions(long_shot_face=1.0)).detect(canvas)
    assert len(both) == 2
    assert both[0].score >= both[1].score


def test_a_closed_detector_says_so() -> None:
    detector = YuNet(fetch("yunet"))
    assert detector.name.startswith("yunet (")
    detector.close()
    detector.close()
    with pytest.raises(ValueError, match="closed"):
        detector.detect(np.zeros((64, 64, 3), np.uint8))
