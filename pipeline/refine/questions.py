"""Questions to the judge: what is asked about whom, with which pictures. A question is known by its content, not by when it is asked."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from pipeline.crops import Region
from schemas.vocabulary import QuestionKind


@dataclass(frozen=True, slots=True)
class Picture:
    """Part of a frame of the character's video, described by what it is made from.

    Attributes:
        pts_ns: the frame's presentation time.
        region: x0, y0, x1, y1 in pixels of the displayed frame. No wider and no higher than it, but it may reach beyond: x0 and y0 may be
            negative, x1 and y1 larger than the frame. What is outside is shown grey.
    """

    pts_ns: int
    region: Region


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        kind: which prompt.
        video_id: the pictures' video.
        character_id: whom it is about.
        subject: the anchor_id, or of a caption the clip_id.
        stated: the class that is asked about; None for captions.
        pictures: in the order they are sent.
        has_reference: the first picture is the character's global anchor, to tell who it is.
    """

    kind: QuestionKind
    video_id: str
    character_id: str
    subject: str
    stated: str | None
    pictures: tuple[Picture, ...]
    has_reference: bool

    def picture_hash(self, pixels: int, jpeg_quality: int) -> str:
        """16 hex digits over what the pictures are made from: equal for equal pictures, told without touching the video."""
        made_from = [self.video_id, [[picture.pts_ns, *picture.region] for picture in self.pictures], pixels, jpeg_quality]
        return content_hash(made_from)


def verdict_id(picture_hash: str, question: Question, prompt_hash: str, model: str) -> str:
    """16 hex digits by which a verdict is known: same pictures, same question, same prompt, same model."""
    return content_hash([picture_hash, str(question.kind), question.stated, question.has_reference, prompt_hash, model])


def content_hash(value: Any) -> str:
    """16 hex digits of the canonical JSON of a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
