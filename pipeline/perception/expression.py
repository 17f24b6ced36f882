"""What a face expresses, read by two small networks and by the face mesh's blendshape coefficients.

The networks are fer's (the emotion model of the Python package fer: grey, 64 by 64) and face-api's (see faceapi_network). Both see
the face in crops of several sizes and mirrored: their logarithms are averaged, which is worth more than either network's choice
of one crop. The coefficients come with the head's pose. Features keep all three, so that probabilities can be computed anew
without the picture; expression_calibration turns features into probabilities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from pipeline.perception import faceapi_network
from pipeline.perception.expression_calibration import FACEAPI, FEATURE_COUNT, FER, KNOWN, LEAST_LOG_PROBABILITY, MESH, Calibration, shipped
from pipeline.perception.protocols import ExpressionEstimate, Face, HeadPose, Image
from pipeline.perception.square import silence
from schemas.vocabulary import Expression

FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FER_SIDE = 64
SQUARE_SCALE = 1.2
"""Side of the square that is cut out around a face, in lengths of the face box's longer side."""
SQUARE_SIDE = 134
"""Its side in pixels: at scale 1 face-api's network sees 112 of them."""


@dataclass(frozen=True, slots=True)
class View:
    """How a network sees a face.

    Attributes:
        scale: side of the crop, in lengths of the face box's longer side; at most SQUARE_SCALE.
        mirrored: left and right exchanged.
    """

    scale: float
    mirrored: bool = False

    def of(self, square: Image, side: int) -> Image:
        """What the view shows of a face_square (grey or colour), scaled to side by side pixels."""
        margin = round(SQUARE_SIDE * (1 - self.scale / SQUARE_SCALE) / 2)
        crop = _resized(square[margin : SQUARE_SIDE - margin, margin : SQUARE_SIDE - margin], side)
        return crop[:, ::-1] if self.mirrored else crop


FER_VIEWS = (View(1.0), View(1.1, mirrored=True), View(1.2))
FACEAPI_VIEWS = (View(1.0), View(1.1, mirrored=True))


class EmbeddedExpression:
    """ExpressionClassifier by face-api's and fer's networks and the face mesh. Contempt, which neither network knows, has probability 0.

    Args:
        faceapi_weights: asset ``faceapi_expression``.
        faceapi_manifest: asset ``faceapi_expression_manifest``.
        fer: asset ``fer``, a TensorFlow Lite file.
        threads: of each network.
        calibration: turns features into probabilities; the one that comes with this release when None.

    Raises:
        InputError: the weights and the manifest do not fit together.
    """

    def __init__(self, faceapi_weights: Path, faceapi_manifest: Path, fer: Path, threads: int = 1, calibration: Calibration | None = None) -> None:
        self._calibration = calibration or shipped()
        self.name = f"face-api ({faceapi_weights.stem}), fer ({fer.stem}) and face mesh, calibrated on {self._calibration.fitted_on}"
        network = faceapi_network.build_network(faceapi_network.read_weights(faceapi_weights, faceapi_manifest))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._faceapi: onnxruntime.InferenceSession | None = onnxruntime.InferenceSession(
            network.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        with silence():
            self._fer: Interpreter | None = Interpreter(model_path=str(fer), num_threads=threads)
            self._fer.allocate_tensors()

    def classify(self, image: Image, face: Face, pose: HeadPose | None) -> ExpressionEstimate:
        """The expression of a face in an RGB image; features are (66,), laid out as expression_calibration says.

        Raises:
            ValueError: the model was closed.
        """
        features = np.full(FEATURE_COUNT, np.nan, np.float32)
        square = face_square(image, face)
        features[FER] = self.fer_log_probabilities(square).mean(axis=0)
        features[FACEAPI] = self.faceapi_log_probabilities(square).mean(axis=0)
        if pose is not None and pose.coefficients is not None:
            features[MESH] = pose.coefficients
        return ExpressionEstimate(self._calibration.probabilities(features[None])[0], features)

    def fer_log_probabilities(self, square: Image, views: Sequence[View] = FER_VIEWS) -> NDArray[np.float32]:
        """What fer's network answers to each view of a face_square: (views, 7) in the vocabulary's order."""
        if self._fer is None:
            raise ValueError("this expression classifier was closed")
        grey = np.asarray(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY), np.uint8)
        source, target = self._fer.get_input_details()[0]["index"], self._fer.get_output_details()[0]["index"]
        answers = []
        for view in views:
            self._fer.set_tensor(source, view.of(grey, FER_SIDE).astype(np.float32)[None, :, :, None] / 127.5 - 1)
            self._fer.invoke()
            answers.append(self._fer.get_tensor(target)[0])
        return in_vocabulary(np.log(np.maximum(answers, 1e-9)), FER_CLASSES)

    def faceapi_log_probabilities(self, square: Image, views: Sequence[View] = FACEAPI_VIEWS) -> NDArray[np.float32]:
        """What face-api's network answers to each view of a face_square: (views, 7) in the vocabulary's order."""
        if self._faceapi is None:
            raise ValueError("this expression classifier was closed")
        pictures = np.stack([view.of(square, faceapi_network.SIDE) for view in views])
        batch = ((pictures.astype(np.float32) - faceapi_network.MEAN) / 255).transpose(0, 3, 1, 2)
        scores = self._faceapi.run(None, {"image": np.ascontiguousarray(batch)})[0]
        return in_vocabulary(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True), faceapi_network.CLASSES)

    def close(self) -> None:
        """Release both networks; calling it twice is fine."""
        self._faceapi = self._fer = None


def face_square(image: Image, face: Face) -> Image:
    """The square around a face that every view is cut from, (SQUARE_SIDE, SQUARE_SIDE, 3).

    Its side is SQUARE_SCALE times the face box's longer side. Beyond the image the edge is repeated: both networks take a black
    margin for a feature of the face.

    Args:
        image: (height, width, 3).
        face: its box is what counts.
    """
    x0, y0, x1, y1 = (float(edge) for edge in face.box)
    reach = max(x1 - x0, y1 - y0, 2.0) * SQUARE_SCALE / 2
    height, width = image.shape[:2]
    rows = np.clip(_pixels((y0 + y1) / 2, reach), 0, height - 1)
    columns = np.clip(_pixels((x0 + x1) / 2, reach), 0, width - 1)
    square = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if square.shape[:2] != (len(rows), len(columns)):
        square = image[rows[:, None], columns[None, :]]
    return _resized(square, SQUARE_SIDE)


def _pixels(center: float, reach: float) -> NDArray[np.intp]:
    return np.arange(np.floor(center - reach), np.ceil(center + reach)).astype(np.intp)


def _resized(square: Image, side: int) -> Image:
    smaller = square.shape[0] > side
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR), np.uint8)


def in_vocabulary(log_probabilities: NDArray[np.floating], classes: tuple[str, ...]) -> NDArray[np.float32]:
    """Columns of a network brought into the vocabulary's order, (N, 7), no lower than LEAST_LOG_PROBABILITY."""
    order = [classes.index(word) for word in Expression.words()[:KNOWN]]
    return np.maximum(np.asarray(log_probabilities, np.float32)[:, order], np.float32(LEAST_LOG_PROBABILITY))
