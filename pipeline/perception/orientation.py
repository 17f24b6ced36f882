"""Which way heads and bodies face: a face mesh for heads, five points where the mesh gives up, shoulders for people seen from behind.

Nothing is kept from one call to the next: the same pixels give the same angles, whatever was measured before.
"""

import contextlib
import weakref
from pathlib import Path

import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from numpy.typing import NDArray

from pipeline.perception.protocols import Body, Face, HeadPose, Image
from pipeline.perception.square import flipped, landmarker_image, silence, square_crop
from schemas.vocabulary import AngleSource

HEAD_CROP_SCALE = 1.8
"""Side of the square around a face that the mesh is looked for in, in lengths of the face box's longer side."""
HEAD_CROP_SIZE = 320
"""Pixels of that square; the mesh's own face detector is made for faces this large in their picture."""
MESH_CONFIDENCE = 0.3
"""The detector has found the face already; on viewpoint_cmu this finds a tenth more meshes of turned heads than 0.5, and no wrong one."""
NOSE_LENGTH, EYE_DISTANCE = 0.5, 0.9
"""How far the tip of the nose stands before the eyes, and how far apart the eyes are, in distances from the eyes to the mouth. With these,
five points agree with the mesh to 2 to 8 degrees (median of 936 faces, by how far they are turned)."""
TURNED_FROM = 25.0
"""Degrees from which a face without a mesh is taken for one that is turned away; below, it is something else: covered, blurred, no face."""
CONTRADICTION = 50.0
"""Degrees; a mesh that differs more from the five points is not believed: it was fitted to something else."""
SIDED = ((24, 26), (33, 39), *((first, first + 1) for first in (1, 4, 7, 9, 11, 13, 15, 17, 19, 21, 28, 30, 34, 36, 44, 46, 48, 50)))
"""Blendshapes that come in pairs, the subject's left and right."""

BODY_PICTURE_SIZE = 512
"""Pixels a larger picture is scaled down to before the body is looked for."""
LANDMARK_VISIBILITY = 0.5
"""Landmarks less visible than this do not count for the body's box."""
HEAD, SHOULDERS, HIPS = slice(0, 11), (11, 12), (23, 24)
CROWN = 0.5
"""How far the head reaches around the middle of its landmarks (eyes, nose, mouth, ears), in distances from there to the middle of the shoulders."""


class FaceMesh:
    """HeadPoseEstimator by MediaPipe's face landmarker, and by the detector's five points where it gives up (full profile).

    The landmarker finds faces that look to one side more often than those that look to the other, so a face without a mesh is tried
    again mirrored.

    Args:
        model: face_landmarker.task (asset ``face_landmarker``).
    """

    def __init__(self, model: Path) -> None:
        self.name = f"face mesh ({model.stem})"
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=model.read_bytes()),
            min_face_detection_confidence=MESH_CONFIDENCE,
            min_face_presence_confidence=MESH_CONFIDENCE,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        with silence():
            self._task: vision.FaceLandmarker | None = vision.FaceLandmarker.create_from_options(options)
            self._look(np.zeros((HEAD_CROP_SIZE, HEAD_CROP_SIZE, 3), np.uint8))
        # A task that is still open when the interpreter shuts down throws.
        self._release = weakref.finalize(self, self._task.close)

    def estimate(self, image: Image, face: Face) -> HeadPose | None:
        """The head's pose: from the mesh (LANDMARKS), where it gives up from five points (POINTS), None where neither can tell.

        Args:
            image: (height, width, 3) RGB frame.
            face: a face in it.

        Raises:
            ValueError: the model was closed.
        """
        x0, y0, x1, y1 = (float(value) for value in face.box)
        crop = square_crop(image, ((x0 + x1) / 2, (y0 + y1) / 2), HEAD_CROP_SCALE * max(x1 - x0, y1 - y0), HEAD_CROP_SIZE)
        pose = self._look(crop) or mirrored(self._look(flipped(crop)))
        if pose is None or abs(pose.yaw - yaw_of_points(face.points)) > CONTRADICTION:
            return pose_of_points(face.points)
        return pose

    def close(self) -> None:
        """Release the model."""
        self._release()
        self._task = None

    def _look(self, crop: Image) -> HeadPose | None:
        if self._task is None:
            raise ValueError("this face mesh was closed")
        found = self._task.detect(landmarker_image(crop))
        if not found.face_landmarks:
            return None
        angles = angles_of_rotation(np.asarray(found.facial_transformation_matrixes[0], np.float64)[:3, :3])
        coefficients = np.array([category.score for category in found.face_blendshapes[0]], np.float32)
        return HeadPose(*angles, AngleSource.LANDMARKS, coefficients)


def angles_of_rotation(matrix: NDArray[np.float64]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of a head.

    Args:
        matrix: (3, 3), from the head's axes to the camera's: x to image-right, y up, z towards the camera; a head that faces the camera
            has the identity. Its columns may be scaled.
    """
    right, _, forward = (column / np.linalg.norm(column) for column in matrix.T)
    yaw = np.arctan2(forward[0], forward[2])
    pitch = np.arctan2(forward[1], np.hypot(forward[0], forward[2]))
    level = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    roll = np.arctan2(-right @ np.cross(forward, level), right @ level)
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def mirrored(pose: HeadPose | None) -> HeadPose | None:
    """The pose of a head whose mirror image has the given one. Blendshapes name the subject's left and right, and are swapped too."""
    if pose is None:
        return None
    coefficients = None if pose.coefficients is None else pose.coefficients.copy()
    if coefficients is not None:
        for left, right in SIDED:
            coefficients[[left, right]] = coefficients[[right, left]]
    return HeadPose(-pose.yaw, pose.pitch, -pose.roll, pose.source, coefficients)


def pose_of_points(points: NDArray[np.float32]) -> HeadPose | None:
    """The pose of a head that is turned away, from five points; None when it is not. The side is sure, the degrees are coarse.

    The nose is measured across the line from the eyes to the mouth, which stays where it is at full profile, when the eyes fall together
    and may be found in either order.
    """
    yaw = yaw_of_points(points)
    if abs(yaw) < TURNED_FROM:
        return None
    down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    # Seen from the side, a nod turns the line from the eyes to the mouth within the picture.
    pitch = float(np.degrees(np.arctan2(np.sign(yaw) * down[0], down[1])))
    return HeadPose(yaw, float(np.clip(pitch, -90, 90)), 0.0, AngleSource.POINTS)


def yaw_of_points(points: NDArray[np.float32]) -> float:
    """Yaw in degrees, -90..90, of an upright head.

    Args:
        points: (5, 2), see Face.
    """
    right_eye, left_eye, nose = points[:3].astype(np.float64)
    eyes, mouth = (right_eye + left_eye) / 2, points[3:].astype(np.float64).mean(axis=0)
    down = mouth - eyes
    across = np.array([down[1], -down[0]])
    forward = (nose - eyes) @ across / NOSE_LENGTH
    sideways = max(float((left_eye - right_eye) @ across), 0.0) / EYE_DISTANCE
    return float(np.degrees(np.arctan2(forward, sideways)))


class BodyPose:
    """BodyPoseEstimator by MediaPipe's pose landmarker.

    Args:
        model: pose_landmarker_full.task (asset ``pose_landmarker``).
        most: how many bodies are found in one picture at most; each costs as much again.
        confidence: 0..1, of the detection and of the pose; below it there is no body.
    """

    def __init__(self, model: Path, most: int = 2, confidence: float = 0.5) -> None:
        self.name = f"body pose ({model.stem})"
        options = vision.PoseLandmarkerOptions(
            base_options=BaseOptions(model_asset_buffer=model.read_bytes()),
            num_poses=most,
            min_pose_detection_confidence=confidence,
            min_pose_presence_confidence=confidence,
        )
        with silence():
            self._task: vision.PoseLandmarker | None = vision.PoseLandmarker.create_from_options(options)
            self._task.detect(landmarker_image(np.zeros((BODY_PICTURE_SIZE, BODY_PICTURE_SIZE, 3), np.uint8)))
        self._release = weakref.finalize(self, self._task.close)
        self._has_found = False

    def estimate(self, image: Image) -> list[Body]:
        """The bodies in an image, most prominent first.

        Args:
            image: (height, width, 3) RGB, a frame or a crop around one person.

        Raises:
            ValueError: the model was closed.
        """
        if self._task is None:
            raise ValueError("this body pose was closed")
        height, width = image.shape[:2]
        side = max(height, width)
        square = square_crop(image, (width / 2, height / 2), side, min(side, BODY_PICTURE_SIZE))
        # MediaPipe remarks once, with the first body, that it likes squares, which this is.
        with contextlib.nullcontext() if self._has_found else silence():
            found = self._task.detect(landmarker_image(square))
        self._has_found = self._has_found or bool(found.pose_landmarks)
        corner = np.array([width // 2 - side // 2, height // 2 - side // 2], np.float64)
        return [
            body_of_landmarks(
                np.array([(point.x, point.y) for point in landmarks]) * side + corner,
                np.array([(point.x, point.y, point.z) for point in world]),
                np.array([point.visibility for point in landmarks]),
            )
            for landmarks, world in zip(found.pose_landmarks, found.pose_world_landmarks, strict=True)
        ]

    def close(self) -> None:
        """Release the model."""
        self._release()
        self._task = None


def body_of_landmarks(points: NDArray[np.float64], world: NDArray[np.float64], visibility: NDArray[np.float64]) -> Body:
    """A body from MediaPipe's 33 pose landmarks.

    Args:
        points: (33, 2) pixels.
        world: (33, 3) metres, x to image-right, y down, z away from the camera.
        visibility: (33,) 0..1.
    """
    left, right = world[SHOULDERS[0]], world[SHOULDERS[1]]
    yaw = float(np.degrees(np.arctan2(left[2] - right[2], left[0] - right[0])))
    head = points[HEAD].mean(axis=0)
    neck = points[list(SHOULDERS)].mean(axis=0)
    reach = CROWN * float(np.linalg.norm(neck - head))
    shown = points[visibility >= LANDMARK_VISIBILITY]
    corners = np.concatenate([shown, np.stack([head - reach, head + reach])])
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    confidence = float(visibility[[*SHOULDERS, *HIPS]].mean())
    return Body(box.astype(np.float32), head.astype(np.float32), yaw, confidence)
