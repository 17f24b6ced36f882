"""What the pipeline asks of a model, and in what form it answers. Every backend implements one of these protocols.

Pixels here are those of the displayed frame (after rotation), x to the right, y down. Frames are RGB uint8 (height, width, 3).
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from schemas.vocabulary import AngleSource

Image = NDArray[np.uint8]
"""RGB, (height, width, 3)."""


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1 in pixels; reaches beyond the frame where the face is cut off.
        points: (5, 2) float32 pixels: the subject's right eye, left eye, nose tip, right and left mouth corner
            (on a frontal face the image-left one comes first).
        score: 0..1, the detector's confidence.
    """

    box: NDArray[np.float32]
    points: NDArray[np.float32]
    score: float


@dataclass(frozen=True, slots=True)
class HeadPose:
    """The direction of a head, in degrees.

    Attributes:
        yaw: (-180, 180]; 0 faces the camera, -90 nose to image-left, +90 nose to image-right.
        pitch: up positive.
        roll: clockwise positive.
        source: how it was measured; pitch and roll are coarse unless it is LANDMARKS.
        coefficients: (52,) float32, the face mesh's blendshape coefficients (0..1), where the estimator has them.
    """

    yaw: float
    pitch: float
    roll: float
    source: AngleSource
    coefficients: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """A person's body.

    Attributes:
        box: (4,) float32 x0, y0, x1, y1 in pixels, around the visible landmarks.
        head: (2,) float32 pixels, centre of the head, also when it is seen from behind.
        yaw: degrees (-180, 180], of the shoulders; 0 faces the camera, +-180 faces away.
        confidence: 0..1, visibility of the shoulders and hips.
    """

    box: NDArray[np.float32]
    head: NDArray[np.float32]
    yaw: float
    confidence: float


@dataclass(frozen=True, slots=True)
class ExpressionEstimate:
    """What a face expresses.

    Attributes:
        probabilities: (8,) float32 in the order of schemas.vocabulary.Expression's codes, sum 1; 0 where a model does not know a class.
        features: (F,) float32, what the probabilities were computed from, for calibration after the fact; F is fixed per classifier.
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]


class Model(Protocol):
    """A loaded model: has a name for run.json and holds resources until closed."""

    @property
    def name(self) -> str:
        """Backend and weights, for example ``yunet (49f000ec)``."""

    def close(self) -> None:
        """Release threads and memory; calling it twice is fine."""


class FaceDetector(Model, Protocol):
    """Finds faces."""

    def detect(self, image: Image) -> list[Face]:
        """All faces, best first."""


class HeadPoseEstimator(Model, Protocol):
    """Measures the direction of a head."""

    def estimate(self, image: Image, face: Face) -> HeadPose | None:
        """The head's pose, or None when it cannot be told."""


class BodyPoseEstimator(Model, Protocol):
    """Finds bodies and the direction of their shoulders."""

    def estimate(self, image: Image) -> list[Body]:
        """The bodies in an image (often a crop around one person), most prominent first."""


class FaceEmbedder(Model, Protocol):
    """Tells people apart."""

    @property
    def same_person_cosine(self) -> float:
        """Cosine from which two embeddings of this model are taken for one person."""

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        """(D,) identity embedding of unit length."""


class ExpressionClassifier(Model, Protocol):
    """Reads a face's expression."""

    def classify(self, image: Image, face: Face, pose: HeadPose | None) -> ExpressionEstimate:
        """The expression; ``pose`` carries blendshape coefficients when the pose estimator has them."""


@dataclass(frozen=True, slots=True)
class Perception:
    """The models that observe a video. A context manager: leaving it closes them all."""

    faces: FaceDetector
    head_pose: HeadPoseEstimator
    body_pose: BodyPoseEstimator
    identity: FaceEmbedder
    expression: ExpressionClassifier

    def names(self) -> dict[str, str]:
        """Role to model name, for run.json."""
        return {role: getattr(self, role).name for role in self.__slots__}

    def close(self) -> None:
        """Close every model."""
        for role in self.__slots__:
            getattr(self, role).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
