"""The labelled sets, ready to be judged, and what the classifier alone makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.expression_sets import LabelledFaces, read_faces
from benchmarks.fit_expression_calibration import SETS, fit
from benchmarks.refinement.judge import fingerprint
from benchmarks.refinement.outcomes import Outcome, count, total
from benchmarks.refinement.policies import LabelledPictures
from benchmarks.refinement.pools import Candidates, believed, classify_faces, read_jpegs, split
from pipeline.refine.options import PictureOptions, PolicyOptions
from schemas.vocabulary import Expression


@dataclass(frozen=True)
class JudgedSet:
    """A labelled set as candidates and pictures.

    Attributes:
        name: its folder.
        candidates: what the classifier makes of it.
        pictures: for the judge.
        truth: what each picture shows, by fingerprint.
    """

    name: str
    candidates: Candidates
    pictures: LabelledPictures
    truth: Mapping[str, Expression]


def read_sets(data: Path) -> list[JudgedSet]:
    """Both sets, each read with a calibration that was fitted on the other one.

    Raises:
        FileNotFoundError: the folder lacks one.
    """
    faces = [read_faces(data, name) for name in SETS]
    return [judged_set(data, own, other) for own, other in (faces, faces[::-1])]


def judged_set(data: Path, own: LabelledFaces, other: LabelledFaces) -> JudgedSet:
    """One set, read with a calibration that was fitted on another one."""
    jpegs = read_jpegs(data, own.name, PictureOptions())
    truth = {fingerprint(jpeg): Expression(label) for jpeg, label in zip(jpegs, own.labels.tolist(), strict=True)}
    return JudgedSet(own.name, classify_faces(own, fit([other])), LabelledPictures(jpegs), truth)


def unjudged(set_: JudgedSet, seeds: int) -> Outcome:
    """The classifier alone, with select's thresholds."""
    return total([count(pool.anchors, pool.truth) for seed in range(seeds) for pool in split(set_.name, set_.candidates, seed)])


def unjudged_without_thresholds(set_: JudgedSet, seeds: int) -> Outcome:
    """The classifier alone, believed about every face that a judge may be asked about: as many anchors, and nobody looks at them."""
    everyone = believed(set_.candidates, PolicyOptions().least_confidence)
    return unjudged(replace(set_, candidates=everyone), seeds)
