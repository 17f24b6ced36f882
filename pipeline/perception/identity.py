"""Whose face it is: SFace.

SFace (Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", IEEE TIP 2021), the 2021
December weights of the OpenCV Zoo with block-quantised int8 weights, run by onnxruntime.
"""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from pipeline.perception.protocols import Face, Image

SAME_PERSON_COSINE = 0.363
"""OpenCV's documented threshold for SFace (its best accuracy on LFW)."""
SIZE = 112
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32)
"""Where the five points of a face go in the 112 x 112 picture, in pixels (the template of ArcFace, Deng et al., 2019)."""


class SFace:
    """Embeds faces with SFace.

    Args:
        weights: the ONNX file (asset ``sface``).
        threads: threads of one inference.
    """

    same_person_cosine = SAME_PERSON_COSINE

    def __init__(self, weights: Path, threads: int = 1) -> None:
        self._weights = weights
        self._session: onnxruntime.InferenceSession | None = _session(weights, threads)

    @property
    def name(self) -> str:
        """Backend and weights."""
        return f"sface ({self._weights.stem})"

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        """(128,) identity embedding of unit length.

        Raises:
            ValueError: the model was closed.
        """
        if self._session is None:
            raise ValueError("this face embedder was closed")
        picture = align(image, face.points).astype(np.float32).transpose(2, 0, 1)[None]
        embedding: NDArray[np.float32] = self._session.run(None, {self._session.get_inputs()[0].name: picture})[0][0]
        return embedding / np.float32(max(float(np.linalg.norm(embedding)), 1e-12))

    def close(self) -> None:
        """Release the session."""
        self._session = None


def align(image: Image, points: NDArray[np.float32]) -> Image:
    """The face turned upright, scaled and cut to 112 x 112 RGB; black where it lies outside the image.

    Args:
        image: RGB, (height, width, 3).
        points: (5, 2) pixels, in the order of protocols.Face.
    """
    return np.asarray(cv2.warpAffine(image, similarity(points, TEMPLATE), (SIZE, SIZE), flags=cv2.INTER_LINEAR), np.uint8)


def similarity(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """The (2, 3) turn, scale and shift that brings source points (N, 2) nearest to target points, in least squares.

    The closed form in complex numbers: with both sets centred, target = a * source has the solution a = <source, target> / <source, source>.
    A reflection is not allowed.
    """
    source_mean, target_mean = source.mean(0, dtype=np.float64), target.mean(0, dtype=np.float64)
    before, after = ((points - mean) @ [1, 1j] for points, mean in ((source, source_mean), (target, target_mean)))
    spread = float(np.vdot(before, before).real)
    factor = np.vdot(before, after) / spread if spread > 0 else complex(1)
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, target_mean - turn @ source_mean])


def _session(weights: Path, threads: int) -> onnxruntime.InferenceSession:
    model = onnx.load(weights)
    # the file lists its weights as inputs too, even those of before quantisation that nothing reads: onnxruntime would ask for them
    constants = {initializer.name for initializer in model.graph.initializer}
    read = {name for node in model.graph.node for name in node.input} - constants
    inputs = [value for value in model.graph.input if value.name in read]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # int8 only saves disk here: weights expanded once to float are 1.7 times as fast
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
