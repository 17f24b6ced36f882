"""Expressions by deepface's emotion model: the selectable backend ``deepface``.

deepface runs on onnxruntime (nothing else to install), PyTorch or TensorFlow; which of them is decided by the weights file that
lies in its home folder, in this order:

    HOME/.deepface/weights/facial_expression_model_weights.onnx | .pth | .h5

They are assets of deepface's own releases (github.com/serengil/deepface_models, v1.0). Nothing is downloaded here.
"""

import math
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.failures import InputError
from pipeline.perception.protocols import ExpressionEstimate, Face, HeadPose, Image
from schemas.vocabulary import Expression, FailureKind

INSTALL = "pip install -c constraints.txt '.[deepface]'"
WEIGHTS = "facial_expression_model_weights"
ENGINES = {".onnx": "onnx", ".pth": "pytorch", ".h5": "tensorflow"}
SIDE = 224


class DeepFaceExpression:
    """ExpressionClassifier by deepface: seven classes, contempt is 0. Features are the logarithms of the seven probabilities.

    The engine and the home folder are settings of deepface for the whole process; threads are its engine's own choice.

    Args:
        home: deepface's home folder, see above.

    Raises:
        InputError: deepface or the engine is not installed, there are no weights, or deepface already runs on another engine.
    """

    def __init__(self, home: Path) -> None:
        weights = _weights(home)
        engine = ENGINES[weights.suffix]
        os.environ["DEEPFACE_HOME"] = str(home)
        os.environ.setdefault("DEEPFACE_BACKEND_ENGINE", engine)
        try:
            from deepface.commons import backend_utils
            from deepface.models.demography.DemographyUtils import EMOTION_LABELS
            from deepface.modules import modeling, preprocessing

            if backend_utils.get_backend_engine() != engine:
                running = f"deepface runs on {backend_utils.get_backend_engine()} in this process, but {weights} is for {engine}"
                raise InputError(FailureKind.UNSUPPORTED, f"{running}; unset DEEPFACE_BACKEND_ENGINE, or bring the weights for it")
            model = modeling.get_model_class("facial_attribute", "Emotion")()
        except (ImportError, ValueError) as error:
            message = f"the backend deepface cannot be used ({error}); install it in the project's clone: {INSTALL}, and for {weights.name} also {engine}"
            raise InputError(FailureKind.MISSING_DEPENDENCY, message) from error
        self.name = f"deepface ({weights.name})"
        self._codes = [int(Expression.from_word(label)) for label in EMOTION_LABELS]
        self._model: Any = model
        self._fit = preprocessing.resize_image

    def classify(self, image: Image, face: Face, pose: HeadPose | None) -> ExpressionEstimate:  # noqa: ARG002 - this model reads pixels alone
        """The expression of a face in an RGB image (height, width, 3)."""
        picture = self._fit(cv2.cvtColor(upright(image, face), cv2.COLOR_RGB2BGR), (SIDE, SIDE))
        seven = np.asarray(self._model.predict(picture), np.float64).reshape(-1)
        seven = np.maximum(seven, 1e-7) / np.maximum(seven, 1e-7).sum()
        probabilities = np.zeros(len(Expression), np.float32)
        probabilities[self._codes] = seven
        return ExpressionEstimate(probabilities=probabilities, features=np.log(seven).astype(np.float32))

    def close(self) -> None:
        """Release the model."""
        self._model = None


def upright(image: Image, face: Face) -> Image:
    """The face's box, turned about its centre until the eyes are level, as deepface's own detectors hand it over; black outside the image."""
    x0, y0, x1, y1 = (float(edge) for edge in face.box)
    right_eye, left_eye = face.points[0], face.points[1]
    angle = math.degrees(math.atan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0]))
    matrix: NDArray[np.float64] = np.asarray(cv2.getRotationMatrix2D(((x0 + x1) / 2, (y0 + y1) / 2), angle, 1.0), np.float64)
    matrix[:, 2] -= x0, y0
    return np.asarray(cv2.warpAffine(image, matrix, (max(1, round(x1 - x0)), max(1, round(y1 - y0)))), np.uint8)


def _weights(home: Path) -> Path:
    candidates = [home / ".deepface" / "weights" / f"{WEIGHTS}{suffix}" for suffix in ENGINES]
    for path in candidates:
        if path.is_file():
            return path
    expected = " or ".join(str(path) for path in candidates)
    raise InputError(
        FailureKind.MISSING_DEPENDENCY, f"deepface has no emotion weights: expected {expected}; they are in deepface's releases (deepface_models, v1.0)"
    )
