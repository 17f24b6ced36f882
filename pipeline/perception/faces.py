"""Faces and their five points: YuNet.

YuNet (Wu, Peng & Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023), the 2023 March
weights of the OpenCV Zoo with block-quantised int8 weights. OpenCV's own FaceDetectorYN runs it, decodes it and suppresses
overlaps: onnxruntime 1.32 does not accept these weights' block-wise dequantisation of per-tensor scales.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.perception.protocols import Face, Image

LONG_SIDE = 640
"""Pixels the long side of a frame is scaled down to: what the weights were trained at. A face has to be about 10 pixels high there."""
SCORE = 0.7
"""Below it, hands, ears and textiles are found too."""
OVERLAP = 0.3
MOST = 5000


class YuNet:
    """Finds faces with YuNet.

    Args:
        weights: the ONNX file (asset ``yunet``).
        long_side: pixels a larger frame's long side is scaled down to; smaller frames are left as they are.
        score: faces below it are dropped, 0..1.
        threads: OpenCV's threads; a setting of the whole process.
    """

    def __init__(self, weights: Path, long_side: int = LONG_SIDE, score: float = SCORE, threads: int = 1) -> None:
        cv2.setNumThreads(threads)
        self._weights, self._long_side = weights, long_side
        self._detector: cv2.FaceDetectorYN | None = cv2.FaceDetectorYN.create(str(weights), "", (long_side, long_side), score, OVERLAP, MOST)

    @property
    def name(self) -> str:
        """Backend and weights."""
        return f"yunet ({self._weights.stem})"

    def detect(self, image: Image) -> list[Face]:
        """All faces of an RGB image (height, width, 3), best first.

        Raises:
            ValueError: the model was closed.
        """
        if self._detector is None:
            raise ValueError("this face detector was closed")
        height, width = image.shape[:2]
        scale = min(1.0, self._long_side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        self._detector.setInputSize(size)
        found = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        to_frame = np.array([width / size[0], height / size[1]], np.float32)
        faces = [] if found is None else [_face(row, to_frame) for row in found]
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Release the network."""
        self._detector = None


def _face(row: NDArray[np.float32], to_frame: NDArray[np.float32]) -> Face:
    """One row of FaceDetectorYN (x, y, width, height, five points, score) in pixels of the frame."""
    corner, size = row[:2], row[2:4]
    box = np.concatenate([corner * to_frame, (corner + size) * to_frame])
    return Face(box=box, points=row[4:14].reshape(5, 2) * to_frame, score=float(row[14]))
