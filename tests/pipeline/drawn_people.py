"""People without a network: frames in which coloured squares stand for heads, and models that read them. What is drawn is the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.perception.protocols import Body, ExpressionEstimate, Face, HeadPose, Image, Perception
from schemas.vocabulary import AngleSource

HEAD = 24
FRONT, SIDE, BEHIND = 250, 170, 90
"""Red of a head: seen from the front, from the side, from behind."""


@dataclass(frozen=True)
class Drawn:
    """A head: centre in pixels, which way it faces (FRONT, SIDE, BEHIND), and who it is (0..5)."""

    x: int
    y: int
    faces: int = FRONT
    who: int = 0


def draw(heads: Sequence[Drawn], width: int = 320, height: int = 240) -> Image:
    """A black picture with a square per head; red tells which way it faces, green who it is."""
    image = np.zeros((height, width, 3), np.uint8)
    for head in heads:
        image[head.y - HEAD // 2 : head.y + HEAD // 2, head.x - HEAD // 2 : head.x + HEAD // 2] = (head.faces, 10 + 10 * head.who, 0)
    return image


def _heads(image: Image) -> list[Drawn]:
    heads = []
    red, green = image[:, :, 0].astype(int), image[:, :, 1].astype(int)
    rest = red - green > 20
    while rest.any():
        y, x = np.argwhere(rest)[0]
        level, shade = red[y + HEAD // 2 - 1, x + HEAD // 2 - 1], green[y + HEAD // 2 - 1, x + HEAD // 2 - 1]
        nearest = min((FRONT, SIDE, BEHIND), key=lambda faces, level=level: abs(faces - level))  # type: ignore[misc]
        heads.append(Drawn(int(x) + HEAD // 2, int(y) + HEAD // 2, nearest, round((shade - 10) / 10)))
        rest[y : y + HEAD, max(0, x - 2) : x + HEAD + 2] = False
    return heads


@dataclass
class DrawnModels:
    """All five models, and a record of how often each was asked."""

    name: str = "drawn"
    same_person_cosine: float = 0.5
    calls: list[str] = field(default_factory=list)

    def close(self) -> None:
        self.calls.append("close")

    def detect(self, image: Image) -> list[Face]:
        self.calls.append("faces")
        return [_face(head) for head in _heads(image) if head.faces != BEHIND]

    def embed(self, image: Image, face: Face) -> NDArray[np.float32]:
        self.calls.append("identity")
        return np.asarray(np.eye(10, dtype=np.float32)[_at(image, face).who])

    def classify(self, image: Image, face: Face, pose: HeadPose | None) -> ExpressionEstimate:
        del image, face, pose
        self.calls.append("expression")
        return ExpressionEstimate(np.eye(8, dtype=np.float32)[0], np.zeros(3, np.float32))


class DrawnHeadPose(DrawnModels):
    """0 degrees from the front, 70 from the side."""

    def estimate(self, image: Image, face: Face) -> HeadPose | None:
        self.calls.append("head_pose")
        return HeadPose(0.0 if _at(image, face).faces == FRONT else 70.0, 0.0, 0.0, AngleSource.LANDMARKS)


class DrawnBodyPose(DrawnModels):
    """A body below each head."""

    def estimate(self, image: Image) -> list[Body]:
        self.calls.append("body_pose")
        return [_body(head) for head in _heads(image)][:1]


def drawn_perception() -> Perception:
    """Models that read drawn heads."""
    models = DrawnModels()
    return Perception(models, DrawnHeadPose(calls=models.calls), DrawnBodyPose(calls=models.calls), models, models)


def calls(perception: Perception) -> list[str]:
    """What the models were asked, in order."""
    assert isinstance(perception.faces, DrawnModels)
    return perception.faces.calls


def _face(head: Drawn) -> Face:
    half = HEAD // 2
    box = np.array([head.x - half, head.y - half, head.x + half, head.y + half], np.float32)
    points = np.array([[head.x - 5, head.y - 4], [head.x + 5, head.y - 4], [head.x, head.y], [head.x - 4, head.y + 5], [head.x + 4, head.y + 5]], np.float32)
    return Face(box, points, 0.9)


def _body(head: Drawn) -> Body:
    box = np.array([head.x - HEAD, head.y - HEAD // 2, head.x + HEAD, head.y + 5 * HEAD], np.float32)
    return Body(box, np.array([head.x, head.y], np.float32), {FRONT: 0.0, SIDE: 80.0, BEHIND: 180.0}[head.faces], 0.9)


def _at(image: Image, face: Face) -> Drawn:
    center = (face.box[:2] + face.box[2:]) / 2
    return min(_heads(image), key=lambda head: (head.x - center[0]) ** 2 + (head.y - center[1]) ** 2)
