"""The labelled sets of expressions, read into features: every picture's best face through the embedded models."""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.assets import fetch
from pipeline.perception.expression import EmbeddedExpression, View, face_square
from pipeline.perception.expression_calibration import FEATURE_COUNT, geometric_mean
from pipeline.perception.faces import YuNet
from pipeline.perception.orientation import FaceMesh
from pipeline.perception.protocols import Image
from schemas.vocabulary import Expression

MARGINS = {"expression_jaffe": 64}
"""Pixels by which a set's pictures, cropped to the face, are extended (their edge repeated) before the detector sees them."""
FER_ALONE, FACEAPI_ALONE = (View(1.2),), (View(1.1),)
"""The crop each network is made for: what it answers alone is measured on it."""


@dataclass(frozen=True)
class LabelledFaces:
    """A labelled set of N pictures.

    Attributes:
        name: the set's folder.
        labels: (N,) Expression codes.
        persons: of each picture, empty where the set does not say.
        features: (N, 66); NaN rows where no face was found.
        fer: (N, 7) log-probabilities of fer's network alone, one crop, in the vocabulary's order.
        faceapi: (N, 7) those of face-api's.
        angles: (N, 2) yaw and pitch, degrees; NaN where they cannot be told.
    """

    name: str
    labels: NDArray[np.int64]
    persons: tuple[str, ...]
    features: NDArray[np.float32]
    fer: NDArray[np.float32]
    faceapi: NDArray[np.float32]
    angles: NDArray[np.float32]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(N,) whether a face was found."""
        return ~np.isnan(self.features[:, 0])


def read_faces(data: Path, name: str) -> LabelledFaces:
    """Run the embedded models over a set.

    Raises:
        FileNotFoundError: the folder has no such set.
    """
    folder = data / "labelled" / name
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    count, margin = len(rows), MARGINS.get(name, 0)
    features, angles = np.full((count, FEATURE_COUNT), np.nan, np.float32), np.full((count, 2), np.nan, np.float32)
    alone = {network: np.full((count, 7), np.nan, np.float32) for network in ("fer", "faceapi")}
    detector, mesh = YuNet(fetch("yunet")), FaceMesh(fetch("face_landmarker"))
    expression = EmbeddedExpression(fetch("faceapi_expression"), fetch("faceapi_expression_manifest"), fetch("fer"), calibration=geometric_mean())
    for number, row in enumerate(rows):
        path = folder / "images" / row["file"]
        picture = cv2.imread(str(path))
        if picture is None:
            raise FileNotFoundError(2, "no such picture", str(path))
        image: Image = np.asarray(cv2.copyMakeBorder(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), margin, margin, margin, margin, cv2.BORDER_REPLICATE), np.uint8)
        found = detector.detect(image)
        if not found:
            continue
        pose = mesh.estimate(image, found[0])
        features[number] = expression.classify(image, found[0], pose).features
        square = face_square(image, found[0])
        alone["fer"][number] = expression.fer_log_probabilities(square, FER_ALONE)[0]
        alone["faceapi"][number] = expression.faceapi_log_probabilities(square, FACEAPI_ALONE)[0]
        if pose is not None:
            angles[number] = pose.yaw, pose.pitch
    for model in (detector, mesh, expression):
        model.close()
    labels = np.array([Expression.from_word(row["expression"]) for row in rows], np.int64)
    return LabelledFaces(name, labels, tuple(row.get("person", "") for row in rows), features, alone["fer"], alone["faceapi"], angles)
