"""Angles against rotations made by scipy, points against a projected head, the models on pictures turned and mirrored by a known amount."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pipeline.assets import fetch
from pipeline.perception.faces import YuNet
from pipeline.perception.orientation import BodyPose, FaceMesh, angles_of_rotation, body_of_landmarks, mirrored, pose_of_points, yaw_of_points
from pipeline.perception.protocols import Body, Face, HeadPose, Image
from schemas.vocabulary import AngleSource
from tests.sample_frames import frame

HEAD = np.array([[-0.45, 0.0, 0.0], [0.45, 0.0, 0.0], [0.0, -0.55, 0.5], [-0.35, -1.0, 0.05], [0.35, -1.0, 0.05]])
"""The five points of a head that faces the camera: x to image-right, y up, z towards the camera, in distances from the eyes to the mouth."""


def head_rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Roll first, then pitch, then yaw, each in the direction that the project calls positive."""
    matrix: NDArray[np.float64] = Rotation.from_euler("YXZ", [yaw, -pitch, -roll], degrees=True).as_matrix()
    return matrix


def seen_points(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> NDArray[np.float32]:
    """The head's points in the picture of a far camera, 100 pixels from the eyes to the mouth."""
    turned = HEAD @ head_rotation(yaw, pitch, roll).T
    return np.column_stack([300 + 100 * turned[:, 0], 200 - 100 * turned[:, 1]]).astype(np.float32)


@given(st.floats(-179, 179), st.floats(-85, 85), st.floats(-170, 170), st.floats(0.1, 10))
def test_angles_are_those_a_rotation_was_made_of(yaw: float, pitch: float, roll: float, scale: float) -> None:
    assert angles_of_rotation(head_rotation(yaw, pitch, roll) * scale) == pytest.approx((yaw, pitch, roll), abs=1e-6)


def test_the_nose_of_a_positive_yaw_points_to_image_right_and_of_a_positive_pitch_up() -> None:
    forward = np.array([0.0, 0.0, 1.0])
    assert (head_rotation(40, 0, 0) @ forward)[0] > 0
    assert (head_rotation(0, 40, 0) @ forward)[1] > 0
    assert (head_rotation(0, 0, 40) @ [0.0, 1.0, 0.0])[0] > 0


@given(st.floats(-90, 90), st.floats(-30, 30))
def test_five_points_tell_the_yaw_whatever_the_roll(yaw: float, roll: float) -> None:
    assert yaw_of_points(seen_points(yaw, roll=roll)) == pytest.approx(yaw, abs=12)


@pytest.mark.parametrize("yaw", [-90.0, 90.0])
@pytest.mark.parametrize("swap", [False, True])
def test_the_side_of_a_full_profile_does_not_depend_on_which_eye_is_which(yaw: float, swap: bool) -> None:
    points = seen_points(yaw)
    points[:2] += [[2, 0], [-2, 0]] if swap else [[-2, 0], [2, 0]]
    pose = pose_of_points(points)
    assert pose is not None
    assert pose.source is AngleSource.POINTS
    assert pose.yaw == pytest.approx(yaw, abs=12)
    assert pose.coefficients is None


def test_five_points_of_a_frontal_face_are_not_a_pose() -> None:
    assert pose_of_points(seen_points(10)) is None


@pytest.mark.parametrize("yaw", [-85.0, 85.0])
def test_a_profile_that_looks_up_has_a_positive_pitch(yaw: float) -> None:
    poses = [pose_of_points(seen_points(yaw, pitch)) for pitch in (-25.0, 0.0, 25.0)]
    down, level, up = (pose.pitch if pose else np.nan for pose in poses)
    assert up - level == pytest.approx(25, abs=6)
    assert level - down == pytest.approx(25, abs=6)


def test_a_mirrored_pose_looks_the_other_way_and_smiles_with_the_other_side() -> None:
    coefficients = np.arange(52, dtype=np.float32)
    pose = mirrored(HeadPose(30.0, 5.0, -7.0, AngleSource.LANDMARKS, coefficients))
    assert pose is not None
    assert (pose.yaw, pose.pitch, pose.roll) == (-30.0, 5.0, 7.0)
    assert pose.coefficients is not None
    assert (pose.coefficients[44], pose.coefficients[45], pose.coefficients[25]) == (45, 44, 25)
    again = mirrored(pose)
    assert again is not None
    assert again.coefficients is not None
    assert (again.coefficients == coefficients).all()
    assert mirrored(None) is None


@given(st.floats(-179.9, 179.9))
def test_body_yaw_is_that_of_turned_shoulders(yaw: float) -> None:
    landmarks = np.zeros((33, 3))
    landmarks[11], landmarks[12] = (0.2, 0, 0), (-0.2, 0, 0)
    # x to image-right, z away from the camera: a person who faces the camera has the left shoulder at image-right
    turned = landmarks @ Rotation.from_euler("y", -yaw, degrees=True).as_matrix().T
    body = body_of_landmarks(np.full((33, 2), 50.0), turned, np.ones(33))
    assert body.yaw == pytest.approx(yaw, abs=1e-6)


def test_a_body_s_box_holds_the_visible_landmarks_and_the_top_of_the_head() -> None:
    points, visibility = np.tile([100.0, 50.0], (33, 1)), np.ones(33)
    points[11:], points[11], points[12] = (110, 300), (130, 90), (70, 90)
    points[31], visibility[31] = (900, 900), 0.1
    visibility[[23, 24]] = 0.5
    body = body_of_landmarks(points, np.zeros((33, 3)), visibility)
    assert body.head.tolist() == [100, 50]
    assert body.box.tolist() == [70, 30, 130, 300]
    assert body.confidence == pytest.approx(0.75)


@pytest.fixture(scope="module")
def mesh() -> Iterator[FaceMesh]:
    model = FaceMesh(fetch("face_landmarker"))
    yield model
    model.close()


@pytest.fixture(scope="module")
def bodies() -> Iterator[BodyPose]:
    model = BodyPose(fetch("pose_landmarker"))
    yield model
    model.close()


@pytest.fixture(scope="module")
def detector() -> YuNet:
    return YuNet(fetch("yunet"))


def measured(mesh: FaceMesh, detector: YuNet, image: Image) -> tuple[HeadPose, Face]:
    face = detector.detect(image)[0]
    pose = mesh.estimate(image, face)
    assert pose is not None
    return pose, face


def test_the_mirror_image_looks_the_other_way(mesh: FaceMesh, detector: YuNet) -> None:
    image = frame("cry_to_laugh", 6.5)
    pose, _ = measured(mesh, detector, image)
    other, _ = measured(mesh, detector, np.ascontiguousarray(image[:, ::-1]))
    assert pose.source is other.source is AngleSource.LANDMARKS
    assert (other.yaw, other.pitch, other.roll) == pytest.approx((-pose.yaw, pose.pitch, -pose.roll), abs=5)
    assert abs(pose.yaw) > 6


@pytest.mark.parametrize("angle", [-20.0, 20.0])
def test_turning_the_picture_clockwise_adds_to_the_roll(mesh: FaceMesh, detector: YuNet, angle: float) -> None:
    image = frame("cry_to_laugh", 3.0)
    pose, face = measured(mesh, detector, image)
    center = tuple(((face.box[:2] + face.box[2:]) / 2).tolist())
    # OpenCV's positive angle is counter-clockwise
    turned = cv2.warpAffine(image, cv2.getRotationMatrix2D(center, -angle, 1.0), (image.shape[1], image.shape[0]))
    other, _ = measured(mesh, detector, np.asarray(turned, np.uint8))
    assert other.roll - pose.roll == pytest.approx(angle, abs=4)
    assert other.yaw == pytest.approx(pose.yaw, abs=6)


def test_a_laugh_shows_in_the_coefficients(mesh: FaceMesh, detector: YuNet) -> None:
    serious, _ = measured(mesh, detector, frame("cry_to_laugh", 8.0))
    laughing, _ = measured(mesh, detector, frame("cry_to_laugh", 18.0))
    assert serious.coefficients is not None
    assert laughing.coefficients is not None
    assert laughing.coefficients.shape == (52,)
    smile = [44, 45]
    assert laughing.coefficients[smile].min() > serious.coefficients[smile].max() + 0.2


def test_nothing_is_remembered_between_calls(mesh: FaceMesh, detector: YuNet, bodies: BodyPose) -> None:
    image, other = frame("cry_to_laugh", 3.0), frame("single_person_cam02", 0.0)
    first, face = measured(mesh, detector, image)
    body = bodies.estimate(other)
    mesh.estimate(frame("single_face", 0.0), face)
    bodies.estimate(image)
    again = mesh.estimate(image, face)
    assert again is not None
    assert (again.yaw, again.pitch, again.roll) == (first.yaw, first.pitch, first.roll)
    assert (again.coefficients == first.coefficients).all()  # type: ignore[union-attr]
    assert [found.yaw for found in bodies.estimate(other)] == [found.yaw for found in body]


def test_a_mesh_that_contradicts_five_points_is_not_believed(mesh: FaceMesh, detector: YuNet) -> None:
    image = frame("cry_to_laugh", 3.0)
    _, face = measured(mesh, detector, image)
    points = seen_points(85.0)
    pose = mesh.estimate(image, Face(face.box, points, face.score))
    assert pose is not None
    assert pose.source is AngleSource.POINTS


def test_no_face_in_the_box_is_no_pose(mesh: FaceMesh) -> None:
    flat = np.full((200, 200, 3), 90, np.uint8)
    assert mesh.estimate(flat, Face(np.array([60, 60, 140, 140], np.float32), seen_points(0), 0.9)) is None


def largest(found: list[Body]) -> Body:
    return max(found, key=lambda body: float(body.box[3] - body.box[1]))


def test_the_same_person_is_seen_from_the_front_and_from_behind(bodies: BodyPose) -> None:
    front = largest(bodies.estimate(frame("single_person_cam02", 0.5)))
    back = largest(bodies.estimate(frame("single_person_cam04", 1.25)))
    assert abs(front.yaw) < 45
    assert abs(back.yaw) > 135
    assert min(front.confidence, back.confidence) > 0.8
    height, width = frame("single_person_cam02", 0.5).shape[:2]
    assert (front.box[:2] > -20).all()
    assert (front.box[2:] < [width + 20, height + 20]).all()


def test_a_mirrored_body_has_the_opposite_yaw(bodies: BodyPose) -> None:
    image = frame("single_person_cam01", 0.5)
    body, other = largest(bodies.estimate(image)), largest(bodies.estimate(np.ascontiguousarray(image[:, ::-1])))
    assert body.yaw == pytest.approx(-other.yaw, abs=15)
    assert other.head[0] == pytest.approx(image.shape[1] - body.head[0], abs=15)


def test_there_is_nobody_in_an_empty_picture(bodies: BodyPose) -> None:
    assert bodies.estimate(np.full((300, 500, 3), 120, np.uint8)) == []


def test_a_closed_model_says_so() -> None:
    mesh, bodies = FaceMesh(fetch("face_landmarker")), BodyPose(fetch("pose_landmarker"))
    for model in (mesh, bodies):
        model.close()
        model.close()
    image = np.zeros((100, 100, 3), np.uint8)
    with pytest.raises(ValueError, match="closed"):
        mesh.estimate(image, Face(np.array([10, 10, 50, 50], np.float32), seen_points(0), 0.9))
    with pytest.raises(ValueError, match="closed"):
        bodies.estimate(image)
