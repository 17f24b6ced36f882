"""Labelled faces as the candidates of characters.

A character of a video has some hundred faces; nobody has labelled such a video. So faces of many people stand in for the faces of one:
all of JAFFE's are one character, those of the web are split into three. For the policy it is the same: faces, what the classifier makes
of them, and what they are.
"""

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from benchmarks.expression_sets import LabelledFaces
from pipeline.perception.expression_calibration import Calibration
from pipeline.refine.options import PictureOptions
from pipeline.refine.pictures import fitting_size
from pipeline.select.expressions import ExpressionOptions, Expressions, classify_expressions
from pipeline.select.ranking import RankingOptions, rank
from pipeline.select.reasons import Reasons
from schemas.tables import ANCHORS
from schemas.vocabulary import AnchorKind, Expression, Status

POOLS = {"expression_jaffe": 1, "expression_web": 3}
"""Characters that a set stands for: about 210 faces each."""
OF_ONE_PERSON, OF_NOBODY = ExpressionOptions(neutral_faces=3), ExpressionOptions(own_neutral=False)
"""JAFFE has three neutral pictures of each person; whose the faces of the web are is not known."""
WANTED = RankingOptions().expression_anchors * len(Expression)
"""Expression anchors of a character at most."""
SECONDS_APART = 10
"""More than the least distance between anchors: pictures of a labelled set are not neighbours in time."""
FACE = [0.25, 0.25, 0.75, 0.75]
"""The face is said to be the middle of its picture, so that the judge gets the whole of it."""


@dataclass(frozen=True)
class Candidates:
    """What the classifier makes of the N faces of a set.

    Attributes:
        labels: (N,) Expression codes.
        said: (N,) Expression code where it is sure, -1 elsewhere.
        leaning: (N,) the likeliest where it is not sure and nothing else is wrong, -1 elsewhere.
        confidence: (N,) NaN without a face.
        reasons: why it abstains.
    """

    labels: NDArray[np.int64]
    said: NDArray[np.int8]
    leaning: NDArray[np.int8]
    confidence: NDArray[np.float32]
    reasons: Reasons


@dataclass(frozen=True)
class Pool:
    """The faces that stand for one character.

    Attributes:
        character_id: set, split and number.
        rows: numbers of its faces in the set; a face's time is SECONDS_APART times that.
        anchors: the candidates as select leaves them, sorted by key.
        truth: the labelled word of each anchor_id.
    """

    character_id: str
    rows: NDArray[np.int64]
    anchors: pa.Table
    truth: dict[str, str]


def classify_faces(faces: LabelledFaces, calibration: Calibration) -> Candidates:
    """Read the expressions of a set with select's default thresholds, against each person's own neutral face where persons are known."""
    count = len(faces.labels)
    said, leaning = np.full(count, -1, np.int8), np.full(count, -1, np.int8)
    confidence, reasons = np.full(count, np.nan, np.float32), Reasons(count)
    for person in sorted(set(faces.persons)):
        rows = np.flatnonzero([name == person for name in faces.persons])
        found = _classify(faces, rows, calibration, OF_ONE_PERSON if person else OF_NOBODY)
        said[rows], leaning[rows], confidence[rows] = found.codes, found.leaning, found.confidence
        reasons.set_rows(rows, found.reasons)
    return Candidates(faces.labels, said, leaning, confidence, reasons)


def _classify(faces: LabelledFaces, rows: NDArray[np.int64], calibration: Calibration, options: ExpressionOptions) -> Expressions:
    features, (yaw, pitch) = faces.features[rows], faces.angles[rows].T
    return classify_expressions(features, calibration.probabilities(features), yaw, pitch, options, calibration)


def split(name: str, candidates: Candidates, seed: int) -> list[Pool]:
    """The characters of a set. The seed says which faces go together."""
    order = np.random.default_rng(seed).permutation(len(candidates.labels))
    parts = np.array_split(order, POOLS[name])
    return [pool(f"{name}-{seed}-{number}", candidates, np.sort(rows)) for number, rows in enumerate(parts)]


def pool(character_id: str, candidates: Candidates, rows: NDArray[np.int64], ranking: RankingOptions | None = None) -> Pool:
    """One character of some rows of a set, ranked as select ranks. The quality of every picture counts as 1."""
    ranking = ranking or RankingOptions()
    reasons = Reasons(len(rows))
    reasons.codes = candidates.reasons.codes[rows].copy()
    said, confidence, times = candidates.said[rows], candidates.confidence[rows], rows * SECONDS_APART * 10**9
    ranks = rank(said.astype(np.int64), confidence, times, rows, ranking.expression_anchors, reasons, ranking)
    words, reason_words = Expression.words(), reasons.column().to_pylist()
    names = [f"{character_id}-{row:04d}" for row in rows]
    table = ANCHORS.from_rows(
        _row(character_id, name, int(time), _word(words, code), _word(words, lean), float(sure), place, reason)
        for name, time, code, lean, sure, place, reason in zip(
            names, times, said, candidates.leaning[rows], confidence, ranks.tolist(), reason_words, strict=True
        )
    )
    return Pool(character_id, rows, table, {name: words[label] for name, label in zip(names, candidates.labels[rows], strict=True)})


def _word(words: list[str], code: int) -> str | None:
    return words[code] if code >= 0 else None


def _row(
    character_id: str, name: str, pts_ns: int, subclass: str | None, likeliest: str | None, confidence: float, place: int, reason: str | None
) -> dict[str, object]:
    sure = None if np.isnan(confidence) else confidence
    selected = {"subclass": subclass, "status": str(Status.REJECTED if reason else Status.ACCEPTED), "reason": reason, "rank": place if place >= 0 else None}
    return {
        "anchor_id": name,
        "video_id": character_id,
        "shot_id": name,
        "track_id": name,
        "character_id": character_id,
        "pts_ns": pts_ns,
        "kind": AnchorKind.EXPRESSION.word,
        "likeliest": likeliest,
        "score": sure,
        "confidence": sure,
        "quality": 1.0,
        "face_box": FACE,
        **selected,
        **{f"selected_{column}": value for column, value in selected.items()},
    }


def believed(candidates: Candidates, least_confidence: float) -> Candidates:
    """The same faces if the classifier were believed wherever a judge would be asked: no thresholds, from a confidence on."""
    lean = (candidates.leaning >= 0) & (candidates.confidence >= least_confidence)
    reasons = Reasons(len(candidates.labels))
    reasons.codes = np.where(lean, np.int8(-1), candidates.reasons.codes)
    return replace(candidates, said=np.where(lean, candidates.leaning, candidates.said), reasons=reasons)


def read_jpegs(data: Path, name: str, options: PictureOptions) -> list[bytes]:
    """The pictures of a set as the judge gets them, in the order of its labels.

    Raises:
        FileNotFoundError: the folder has no such set, or lacks one of its pictures.
    """
    folder = data / "labelled" / name
    with (folder / "labels.csv").open(newline="") as file:
        return [_jpeg(folder / "images" / row["file"], options) for row in csv.DictReader(file)]


def _jpeg(path: Path, options: PictureOptions) -> bytes:
    picture = Image.open(path).convert("RGB")
    size, file = fitting_size((0, 0, *picture.size), options.pixels), io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=options.jpeg_quality)
    return file.getvalue()
