"""Labelled sets that are made up: what the classifier says is written down, and pictures are bytes that only have to differ."""

from collections.abc import Sequence

import numpy as np

from benchmarks.refinement.judge import fingerprint
from benchmarks.refinement.policies import LabelledPictures
from benchmarks.refinement.pools import Candidates
from benchmarks.refinement.sets import JudgedSet
from pipeline.select.reasons import Reasons
from schemas.vocabulary import Expression, RejectReason

Face = tuple[Expression, Expression, float, bool]
"""Label, what the classifier says, its confidence, whether it is sure."""


def candidates_of(faces: Sequence[Face]) -> Candidates:
    labels, says, confidence, sure = (np.array(column) for column in zip(*faces, strict=True))
    reasons = Reasons(len(faces))
    reasons.add(~sure, RejectReason.UNCERTAIN_EXPRESSION)
    said, leaning = np.where(sure, says, -1).astype(np.int8), np.where(sure, -1, says).astype(np.int8)
    return Candidates(labels.astype(np.int64), said, leaning, confidence.astype(np.float32), reasons)


def drawn_set(faces: Sequence[Face], name: str = "expression_jaffe") -> JudgedSet:
    pictures = [f"picture {number}".encode() for number in range(len(faces))]
    truth = {fingerprint(picture): face[0] for picture, face in zip(pictures, faces, strict=True)}
    return JudgedSet(name, candidates_of(faces), LabelledPictures(pictures), truth)


def drawn_faces(count: int, seed: int) -> list[Face]:
    """Faces of which the classifier reads two in three rightly, the surer the oftener."""
    random = np.random.default_rng(seed)
    faces = []
    for _ in range(count):
        label, confidence = Expression(int(random.integers(8))), float(random.uniform(0.35, 1))
        says = label if random.random() < confidence else Expression(int(random.integers(8)))
        faces.append((label, says, round(confidence, 3), confidence > 0.75))
    return faces
