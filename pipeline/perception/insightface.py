"""Faces, identity and head pose by a local pack of insightface models: the selectable backend ``insightface``.

A pack is a folder of ONNX files as insightface's FaceAnalysis reads it: a detector (SCRFD or RetinaFace) always, an ArcFace-like
embedder for identity, and the 68-point 3D landmark model (1k3d68.onnx of the buffalo packs) for the head's pose. Nothing is
downloaded. insightface's own packs are licensed for non-commercial research only; so is what is derived from them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.failures import InputError
from pipeline.perception.protocols import Face, HeadPose, Image
from schemas.vocabulary import AngleSource, FailureKind

INSTALL = "pip install -c constraints.txt '.[insightface]'"
DETECTION, IDENTITY, POSE = "detection", "recognition", "landmark_3d_68"


@dataclass(frozen=True, slots=True)
class InsightFaceOptions:
    """How a pack is used.

    Attributes:
        long_side: pixels a frame's long side is scaled to for the detector.
        score: faces below it are dropped, 0..1.
        same_person_cosine: from which two embeddings are taken for one person; depends on the pack's embedder.
    """

    long_side: int = 640
    score: float = 0.5
    same_person_cosine: float = 0.35


class InsightFacePack:
    """The models of one folder; loaded once, shared by the three adapters below.

    Args:
        folder: holds the pack's ONNX files.
        options: see InsightFaceOptions.
        threads: threads of one inference.

    Raises:
        InputError: insightface is not installed, or the folder has no pack with a detector.
    """

    def __init__(self, folder: Path, options: InsightFaceOptions | None = None, threads: int = 1) -> None:
        try:
            import onnxruntime
            from insightface.app import FaceAnalysis
        except ImportError as error:
            message = f"the backend insightface cannot be imported ({error}); install it in the project's clone: {INSTALL}"
            raise InputError(FailureKind.MISSING_DEPENDENCY, message) from error
        if not sorted(folder.glob("*.onnx")):
            raise InputError(
                FailureKind.MISSING_DEPENDENCY, f"{folder} holds no ONNX file; put an insightface pack there (a detector, an embedder, 1k3d68.onnx)"
            )
        self.folder, self.options = folder, options or InsightFaceOptions()
        session = onnxruntime.SessionOptions()
        session.intra_op_num_threads, session.inter_op_num_threads = threads, 1
        try:
            analysis = FaceAnalysis(name=str(folder), allowed_modules=[DETECTION, IDENTITY, POSE], sess_options=session)
        except AssertionError:
            raise InputError(FailureKind.MISSING_DEPENDENCY, f"{folder} holds no detector that insightface recognises; every pack needs one") from None
        analysis.prepare(ctx_id=0, det_thresh=self.options.score, det_size=(self.options.long_side, self.options.long_side))
        self._models: dict[str, Any] = analysis.models

    def model(self, task: str) -> Any:
        """The pack's model for a task.

        Raises:
            InputError: it has none; the message says which file is missing.
        """
        try:
            return self._models[task]
        except KeyError:
            wanted = {IDENTITY: "an ArcFace-like embedder (for example w600k_r50.onnx)", POSE: "the 68-point 3D landmark model (1k3d68.onnx)"}
            raise InputError(
                FailureKind.MISSING_DEPENDENCY, f"the insightface pack {self.folder} lacks {wanted[task]}; it has {sorted(self._models)}"
            ) from None

    def name(self, task: str) -> str:
        """Backend and weights of one task, for run.json."""
        return f"insightface ({Path(self.model(task).model_file).stem})"


class InsightFaceDetector:
    """FaceDetector of a pack.

    Raises:
        InputError: the pack's detector gives boxes without the five points.
    """

    def __init__(self, pack: InsightFacePack) -> None:
        self.name = pack.name(DETECTION)
        self._detector = pack.model(DETECTION)
        if not self._detector.use_kps:
            raise InputError(
                FailureKind.UNSUPPORTED, f"the detector of the insightface pack {pack.folder} gives no five points; take one that does (det_*.onnx)"
            )

    def detect(self, image: Image) -> list[Face]:
        """All faces of an RGB image (height, width, 3), best first."""
        boxes, points = self._detector.detect(_bgr(image))
        faces = [Face(box=box[:4].astype(np.float32), points=five.astype(np.float32), score=float(box[4])) for box, five in zip(boxes, points, strict=True)]
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Release the model."""
        self._detector = None


class InsightFaceEmbedder:
    """FaceEmbedder of a pack.

    Raises:
        InputError: the pack has no embedder.
    """

    def __init__(self, pack: InsightFacePack) -> None:
        self.name = pack.name(IDENTITY)
        self.same_person_cosine = pack.options.same_person_cosine
        self._embedder = pack.model(IDENTITY)

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        """(D,) identity embedding of unit length."""
        embedding = np.asarray(self._embedder.get(_bgr(image), _their_face(face)), np.float32)
        return embedding / np.float32(max(float(np.linalg.norm(embedding)), 1e-12))

    def close(self) -> None:
        """Release the model."""
        self._embedder = None


class InsightFacePose:
    """HeadPoseEstimator of a pack: 68 points in three dimensions, and the turn that brings the mean face onto them.

    insightface gives pitch, yaw and roll as the turns about x, y and z of its mean shape, whose z points to the camera, x to the
    image's right and y down.

    Raises:
        InputError: the pack has no 68-point 3D landmark model.
    """

    def __init__(self, pack: InsightFacePack) -> None:
        self.name = pack.name(POSE)
        self._landmarks = pack.model(POSE)

    def estimate(self, image: Image, face: Face) -> HeadPose | None:
        """The head's pose; this backend always has one."""
        theirs = _their_face(face)
        self._landmarks.get(_bgr(image), theirs)
        pitch, yaw, roll = (float(angle) for angle in theirs["pose"])
        return HeadPose(yaw=yaw, pitch=pitch, roll=roll, source=AngleSource.MODEL)

    def close(self) -> None:
        """Release the model."""
        self._landmarks = None


def _bgr(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)


def _their_face(face: Face) -> Any:
    from insightface.app.common import Face as TheirFace

    return TheirFace(bbox=face.box, kps=face.points, det_score=face.score)
