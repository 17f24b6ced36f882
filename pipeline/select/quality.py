"""How good a picture of the person an observation is, and what is wrong with it, whatever it shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.observations import Observations
from pipeline.select.reasons import Reasons
from schemas.vocabulary import RejectReason


@dataclass(frozen=True, slots=True)
class QualityOptions:
    """What a picture must have, and from where on more is no better. "Face" is the person where no face was seen.

    Attributes:
        min_face_pixels: height of the face in pixels, below which it is too small.
        full_face_pixels: height of the face in pixels that is as good as any larger one.
        min_person_height: share of the frame's height a person without a face must have.
        full_person_height: share of the frame's height of a person without a face that is as good as any larger one.
        min_sharpness: below it the face is blurred, 0..1 as pipeline.perception.quality measures it; faces in focus have .25 to .5.
        full_sharpness: as good as any sharper one.
        min_brightness: mean luma below which the face is too dark, 0..1.
        full_brightness: mean luma of a well lit face, 0..1.
        max_brightness: mean luma above which the face is too bright, 0..1.
        max_clipped: share of fully black or white pixels above which the face is too dark or too bright, 0..1.
        max_cut_off: share of the face outside the frame above which it is cut off, 0..1.
        full_face_score: detector's confidence of a face that nothing covers, 0..1.
    """

    min_face_pixels: float = 32.0
    full_face_pixels: float = 160.0
    min_person_height: float = 0.3
    full_person_height: float = 0.7
    min_sharpness: float = 0.16
    full_sharpness: float = 0.35
    min_brightness: float = 0.1
    full_brightness: float = 0.25
    max_brightness: float = 0.92
    max_clipped: float = 0.5
    max_cut_off: float = 0.1
    full_face_score: float = 0.9

    def __post_init__(self) -> None:
        for low, high in (("min_face_pixels", "full_face_pixels"), ("min_person_height", "full_person_height"), ("min_sharpness", "full_sharpness")):
            if not 0 <= getattr(self, low) < getattr(self, high):
                raise ValueError(f"{low} ({getattr(self, low)}) must be at least 0 and below {high} ({getattr(self, high)})")


def measure_defects(observations: Observations, options: QualityOptions) -> Reasons:
    """The first thing wrong with each picture: too small, blurred, too dark, too bright, cut off."""
    face, brightness = observations.has_face, observations.brightness
    clipped = observations.clipped > options.max_clipped
    defects = Reasons(len(observations))
    defects.add(face & (observations.face_pixels < options.min_face_pixels), RejectReason.FACE_TOO_SMALL)
    defects.add(~face & ~(_person_height(observations) >= options.min_person_height), RejectReason.PERSON_TOO_SMALL)
    defects.add(observations.sharpness < options.min_sharpness, RejectReason.BLURRED)
    defects.add((brightness < options.min_brightness) | (clipped & (brightness < 0.5)), RejectReason.TOO_DARK)
    defects.add((brightness > options.max_brightness) | clipped, RejectReason.TOO_BRIGHT)
    defects.add(observations.cut_off > options.max_cut_off, RejectReason.CUT_OFF)
    return defects


def score_quality(observations: Observations, options: QualityOptions) -> NDArray[np.float32]:
    """(N,) quality in 0..1: sqrt(size · sharpness) · exposure · wholeness · clearness.

    Each factor is 0..1. Size and sharpness rise linearly up to their full value (together under a root: doubling a picture
    that is half the full size must not outweigh everything else); exposure = min(1, brightness / full) · (1 - clipped);
    wholeness = 1 - cut_off; clearness = the detector's confidence over its full value (1 without a face), because it drops when
    something covers the face.
    """
    face = observations.has_face
    size = np.where(face, observations.face_pixels / options.full_face_pixels, np.nan_to_num(_person_height(observations)) / options.full_person_height)
    sharpness = observations.sharpness / options.full_sharpness
    exposure = np.clip(observations.brightness / options.full_brightness, 0, 1) * (1 - np.clip(observations.clipped, 0, 1))
    clearness = np.where(face, np.clip(np.nan_to_num(observations.face_score, nan=1.0) / options.full_face_score, 0, 1), 1)
    quality = np.sqrt(np.clip(size, 0, 1) * np.clip(sharpness, 0, 1)) * exposure * (1 - np.clip(observations.cut_off, 0, 1)) * clearness
    return np.asarray(quality, np.float32)


def _person_height(observations: Observations) -> NDArray[np.float32]:
    return np.asarray(observations.body_box[:, 3] - observations.body_box[:, 1])
