"""Who is in one frame: faces with their heads' pose, expression and identity, and bodies where a face is not enough.

Bodies are looked for where they are needed, because that costs as much as everything else together: around a face that is turned away,
where somebody was a moment ago whose face is not seen any more, and now and then in the whole frame, for those who never show a face.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.perception.protocols import Body, ExpressionEstimate, Face, HeadPose, Image, Perception
from pipeline.perception.quality import Quality, measure_quality
from pipeline.stopwatch import Stopwatch
from schemas.vocabulary import AngleSource

HEADS_PER_BODY = 5.0
"""Side of the square around a head that a body is looked for in, in heights of the face."""
TORSO_WIDTH, TORSO_HEIGHT = 2.0, 5.0
"""What lies this far to either side of a face and below it is the same person, in heights of the face."""


@dataclass(frozen=True, slots=True)
class PeopleOptions:
    """What is measured of whom.

    Attributes:
        body_from_yaw: degrees of head yaw from which the body is measured too.
        legible_pixels: height of a face in pixels from which expression and identity are read; smaller faces abstain.
        body_confidence: 0..1, least visibility of shoulders and hips of a person without a face.
        sure_face: 0..1, from this score on a face is believed also where it lies on somebody's body.
    """

    body_from_yaw: float = 45.0
    legible_pixels: float = 24.0
    body_confidence: float = 0.5
    sure_face: float = 0.85


@dataclass(frozen=True, slots=True)
class Person:
    """One person in one frame; pixels. At least one of face and body is there."""

    face: Face | None
    pose: HeadPose | None
    body: Body | None
    expression: ExpressionEstimate | None
    embedding: NDArray[np.float32] | None
    quality: Quality

    @property
    def head(self) -> NDArray[np.float32]:
        """(2,) centre of the head."""
        if self.face is not None:
            return np.asarray((self.face.box[:2] + self.face.box[2:]) / 2)
        assert self.body is not None
        return self.body.head

    @property
    def head_size(self) -> float:
        """Height of the head in pixels; an estimate from the body where the face is not seen."""
        if self.face is not None:
            return float(self.face.box[3] - self.face.box[1])
        assert self.body is not None
        return float(self.body.box[3] - self.body.box[1]) / 6

    def is_near(self, other: "Person") -> bool:
        """Whether both heads are at the same place."""
        return _distance(self, other) < max(self.head_size, other.head_size)


class PeopleFinder:
    """Finds the people of one frame.

    Args:
        perception: the models.
        options: see PeopleOptions.
        stopwatch: told what every step took.
    """

    def __init__(self, perception: Perception, options: PeopleOptions, stopwatch: Stopwatch) -> None:
        self._models, self._options, self._stopwatch = perception, options, stopwatch

    def find(self, image: Image, before: Sequence[Person], search_everywhere: bool) -> list[Person]:
        """The people in a frame.

        Args:
            image: (height, width, 3) RGB.
            before: who was seen a moment ago; where their faces are lost, their bodies are looked for.
            search_everywhere: look for bodies in the whole frame too, for people whose faces are not seen.
        """
        with self._stopwatch.step("faces"):
            faces = self._models.faces.detect(image)
        people = [self._with_face(image, face) for face in faces]
        for lost in before:
            if not any(lost.is_near(person) for person in people):
                people += self._without_face(image, _body_region(lost), people, near=lost)[:1]
        if search_everywhere:
            height, width = image.shape[:2]
            people += self._without_face(image, np.array([0, 0, width, height], np.float32), people, near=None)
        return [person for person in people if not any(self._is_pattern_on(person, other) for other in people)]

    def _with_face(self, image: Image, face: Face) -> Person:
        models, watch = self._models, self._stopwatch
        with watch.step("head_pose"):
            pose = models.head_pose.estimate(image, face)
        person = Person(face, pose, None, None, None, self._quality(image, face.box))
        turned = pose is None or pose.source is AngleSource.POINTS or abs(pose.yaw) >= self._options.body_from_yaw
        own = [body for body in self._bodies(image, _body_region(person)) if _belongs(body, person)] if turned else []
        body = min(own, key=lambda body: float(np.linalg.norm(body.head - person.head)), default=None)
        if person.head_size < self._options.legible_pixels:
            return replace(person, body=body)
        with watch.step("expression"):
            expression = models.expression.classify(image, face, pose)
        with watch.step("identity"):
            embedding = models.identity.embed(image, face)
        return replace(person, body=body, expression=expression, embedding=embedding)

    def _without_face(self, image: Image, region: NDArray[np.float32], people: Sequence[Person], near: Person | None) -> list[Person]:
        """The bodies in a region that are none of the people's; with ``near``, the nearest one that could be theirs comes first."""
        found: list[Person] = []
        for body in self._bodies(image, region):
            person = Person(None, None, body, None, None, self._quality(image, body.box))
            close = near is None or _distance(person, near) < 2 * max(near.head_size, person.head_size)
            known = any(person.is_near(other) or _is_part_of(person, other) for other in (*people, *found))
            if body.confidence >= self._options.body_confidence and close and not known:
                found.append(person)
        return found if near is None else sorted(found, key=lambda person: _distance(person, near))

    def _is_pattern_on(self, person: Person, other: Person) -> bool:
        """Whether a face of low score is rather a pattern on somebody's clothes: far from the head of a body that it lies on."""
        if person.face is None or person.body is not None or other.body is None or person.face.score >= self._options.sure_face:
            return False
        x0, y0, x1, y1 = other.body.box
        x, y = person.head
        return bool(x0 <= x <= x1 and y0 <= y <= y1 and not person.is_near(other))

    def _bodies(self, image: Image, region: NDArray[np.float32]) -> list[Body]:
        height, width = image.shape[:2]
        x0, y0 = (max(0, int(value)) for value in region[:2])
        x1, y1 = min(width, int(np.ceil(region[2]))), min(height, int(np.ceil(region[3])))
        if x1 - x0 < 16 or y1 - y0 < 16:
            return []
        with self._stopwatch.step("body_pose"):
            found = self._models.body_pose.estimate(np.ascontiguousarray(image[y0:y1, x0:x1]))
        corner = np.array([x0, y0], np.float32)
        return [replace(body, box=body.box + np.tile(corner, 2), head=body.head + corner) for body in found]

    def _quality(self, image: Image, box: NDArray[np.float32]) -> Quality:
        with self._stopwatch.step("quality"):
            return measure_quality(image, box)


def _body_region(person: Person) -> NDArray[np.float32]:
    """(4,) where the body of a person is to be looked for: around the head and downwards, around the last body if there was one."""
    half = HEADS_PER_BODY / 2 * person.head_size
    around_head = np.array([person.head[0] - half, person.head[1] - 0.3 * half, person.head[0] + half, person.head[1] + 1.7 * half], np.float32)
    if person.body is None:
        return around_head
    margin = 0.2 * (person.body.box[2:] - person.body.box[:2]).max()
    wider = person.body.box + np.array([-margin, -margin, margin, margin], np.float32)
    return np.concatenate([np.minimum(around_head[:2], wider[:2]), np.maximum(around_head[2:], wider[2:])])


def _is_part_of(person: Person, other: Person) -> bool:
    """Whether a body found without a face is rather the hands or the chest of somebody whose face is seen."""
    if other.face is None or person.head_size >= other.head_size:
        return False
    sideways, down = (person.head - other.head) / other.head_size
    return bool(abs(sideways) < TORSO_WIDTH and 0 <= down < TORSO_HEIGHT)


def _distance(person: Person, other: Person) -> float:
    """Between two heads, pixels."""
    return float(np.linalg.norm(person.head - other.head))


def _belongs(body: Body, person: Person) -> bool:
    return float(np.linalg.norm(body.head - person.head)) < person.head_size
