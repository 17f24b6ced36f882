"""Faces and their five points: YuNet.

YuNet (Wu, Peng & Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023), the 2023 March
weights of the OpenCV Zoo with block-quantised int8 weights. OpenCV's own FaceDetectorYN runs and decodes it: onnxruntime 1.32
does not accept how these weights state their block size.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.perception.protocols import Face, Image

MOST = 5000
LEAST_SIDE = 64
"""Pixels; a picture that is a single cell of the coarsest stride (32) high or wide makes OpenCV 4.14 answer from memory it never wrote."""


@dataclass(frozen=True, slots=True)
class FaceOptions:
    """How faces are looked for.

    On one core a look at 640 pixels costs about 20 ms, one at 960 about 45 more; 1280 costs 100 more and found no more faces in
    full-body footage (147 against 148 at 960). Faces below some 24 pixels of the scaled picture are missed, so long shots, and
    only they, are worth a second look.

    Attributes:
        long_side: pixels a larger frame's long side is scaled down to.
        long_shot_side: the same for the second look at a long shot.
        long_shot_face: a frame is a long shot when the first look finds no face at least this high, as a share of the long side.
        least_pixels: faces less high in the frame are dropped: nobody can tell who they are.
        score: faces below it are dropped, 0..1; under 0.7 hands, ears and textiles are found too.
        overlap: of two faces that overlap more (intersection over union), the one with the lower score is dropped.
    """

    long_side: int = 640
    long_shot_side: int = 960
    long_shot_face: float = 0.08
    least_pixels: float = 24.0
    score: float = 0.7
    overlap: float = 0.3


class YuNet:
    """Finds faces with YuNet.

    Args:
        weights: the ONNX file (asset ``yunet``).
        options: see FaceOptions.
        threads: OpenCV's threads; a setting of the whole process.
    """

    def __init__(self, weights: Path, options: FaceOptions | None = None, threads: int = 1) -> None:
        self._weights, self._options = weights, options or FaceOptions()
        cv2.setNumThreads(threads)
        side, score, overlap = self._options.long_side, self._options.score, self._options.overlap
        self._detector: cv2.FaceDetectorYN | None = cv2.FaceDetectorYN.create(str(weights), "", (side, side), score, overlap, MOST)

    @property
    def name(self) -> str:
        """Backend and weights."""
        return f"yunet ({self._weights.stem})"

    def detect(self, image: Image) -> list[Face]:
        """All faces of an RGB image (height, width, 3), best first.

        Raises:
            ValueError: the model was closed.
        """
        options, frame_side = self._options, max(image.shape[:2])
        faces = self._look(image, options.long_side)
        tallest = max((float(face.box[3] - face.box[1]) for face in faces), default=0.0)
        if frame_side > options.long_side and tallest < options.long_shot_face * frame_side:
            faces = _without_doubles(faces + self._look(image, options.long_shot_side), options.overlap)
        return sorted((face for face in faces if face.box[3] - face.box[1] >= options.least_pixels), key=lambda face: -face.score)

    def close(self) -> None:
        """Release the network."""
        self._detector = None

    def _look(self, image: Image, long_side: int) -> list[Face]:
        if self._detector is None:
            raise ValueError("this face detector was closed")
        height, width = image.shape[:2]
        scale = min(1.0, long_side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        margins = (0, max(0, LEAST_SIDE - size[1]), 0, max(0, LEAST_SIDE - size[0]))
        padded = cv2.copyMakeBorder(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), *margins, cv2.BORDER_CONSTANT)
        self._detector.setInputSize((padded.shape[1], padded.shape[0]))
        found = self._detector.detect(padded)[1]
        to_frame = np.array([width / size[0], height / size[1]], np.float32)
        return [] if found is None else [_face(row, to_frame) for row in found]


def _face(row: NDArray[np.float32], to_frame: NDArray[np.float32]) -> Face:
    """One row of FaceDetectorYN (x, y, width, height, five points, score) in pixels of the frame."""
    corner, size = row[:2], row[2:4]
    box = np.concatenate([corner * to_frame, (corner + size) * to_frame])
    return Face(box=box, points=row[4:14].reshape(5, 2) * to_frame, score=float(row[14]))


def _without_doubles(faces: list[Face], overlap: float) -> list[Face]:
    boxes = [(float(x0), float(y0), float(x1 - x0), float(y1 - y0)) for x0, y0, x1, y1 in (face.box for face in faces)]
    return [faces[kept] for kept in cv2.dnn.NMSBoxes(boxes, [face.score for face in faces], 0.0, overlap)]
