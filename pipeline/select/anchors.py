"""Anchors: every observation is a candidate of each kind once, and either chosen or dropped for a typed reason.

The reason is the first that applies of: no character; nothing to decide by (no face, no angle, no expression); the picture is bad;
the class is not what it must be, or not sure; better ones were chosen.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.observations import Observations
from pipeline.select.classes import Classes
from pipeline.select.quality import QualityOptions, measure_defects, score_quality
from pipeline.select.ranking import RankingOptions, rank
from pipeline.select.reasons import Reasons, words_column
from schemas.table import BOX, WORD
from schemas.tables import ANCHORS
from schemas.vocabulary import AnchorKind, Expression, RejectReason, Status, Viewpoint


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """What the global anchor must be: the person from the front, at rest, in the scene.

    Attributes:
        max_yaw: degrees the head may be turned to either side.
        max_pitch: degrees the head may be raised or lowered.
        min_neutral: probability of the neutral expression, for characters that have such a picture; the others have no neutral face,
            and the best of what they have stands in, at half the confidence or little more.
        full_scene: height of the face as a share of the frame's up to which the picture shows the scene; the score falls beyond it,
            and a face that is as high as the frame scores 0.
    """

    max_yaw: float = 20.0
    max_pitch: float = 25.0
    min_neutral: float = 0.4
    full_scene: float = 0.4


@dataclass(frozen=True)
class _Candidates:
    """The candidates of one kind, one per observation.

    ``suits`` is how well the picture suits the kind, 0..1, apart from its quality; ``leaning`` the class of those that are too uncertain.
    """

    kind: AnchorKind
    subclass: NDArray[np.int8]
    words: list[str]
    confidence: NDArray[np.float32]
    suits: NDArray[np.float32]
    reasons: Reasons
    quota: int
    leaning: NDArray[np.int8] | None = None


def choose_anchors(
    observations: Observations,
    character: NDArray[np.int64],
    character_ids: list[str],
    classes: Classes,
    quality_options: QualityOptions,
    global_options: GlobalOptions,
    ranking_options: RankingOptions,
) -> pa.Table:
    """The anchors table of one video: 3 N rows, of which the best of each bin are accepted.

    Args:
        observations: N of them.
        character: (N,) position in ``character_ids``, -1 where the track has none.
        character_ids: of the video.
        classes: view and expression of each observation.
        quality_options: what a picture must have.
        global_options: what the global anchor must be.
        ranking_options: how many of each bin, and how far apart.
    """
    nobody = Reasons(len(observations))
    nobody.add(character < 0, RejectReason.NO_CHARACTER)
    defects = measure_defects(observations, quality_options)
    quality = score_quality(observations, quality_options)
    kinds = (
        _global_candidates(observations, character, classes, nobody, defects, global_options, ranking_options.global_anchors),
        _viewpoint_candidates(classes, nobody, defects, ranking_options.viewpoint_anchors),
        _expression_candidates(observations, classes, nobody, defects, ranking_options.expression_anchors),
    )
    tables = []
    for candidates in kinds:
        score = np.where(candidates.reasons.only(RejectReason.NO_CHARACTER), np.nan, candidates.confidence) * candidates.suits * quality
        bins = character * (len(candidates.words) + 1) + candidates.subclass
        ranks = rank(bins, score, observations.pts_ns, observations.shot, candidates.quota, candidates.reasons, ranking_options)
        tables.append(_rows(observations, character, character_ids, classes.yaw, quality, candidates, score.astype(np.float32), ranks))
    return pa.concat_tables(tables).sort_by([(column, "ascending") for column in ANCHORS.key]).cast(ANCHORS.schema)


def _global_candidates(
    observations: Observations,
    character: NDArray[np.int64],
    classes: Classes,
    nobody: Reasons,
    defects: Reasons,
    options: GlobalOptions,
    quota: int,
) -> _Candidates:
    reasons = Reasons(len(observations))
    reasons.add_each(nobody)
    reasons.add(~observations.has_face, RejectReason.NO_FACE)
    reasons.add(np.isnan(classes.yaw), RejectReason.NO_ANGLE)
    reasons.add(np.isnan(classes.neutral), RejectReason.NO_EXPRESSION)
    reasons.add_each(defects)
    turned = np.maximum(np.abs(classes.yaw), np.abs(np.nan_to_num(observations.yaw))) / options.max_yaw
    raised = np.abs(np.nan_to_num(observations.pitch)) / options.max_pitch
    reasons.add((turned > 1) | (raised > 1), RejectReason.NOT_FRONTAL)
    neutral = classes.neutral >= options.min_neutral
    ever_neutral = np.isin(character, np.unique(character[reasons.free & neutral]))
    reasons.add(~neutral & ever_neutral, RejectReason.NOT_NEUTRAL)
    height = observations.face_box[:, 3] - observations.face_box[:, 1]
    scene = np.clip((1 - height) / (1 - options.full_scene), 0, 1)
    frontal = 1 - 0.5 * np.clip(np.maximum(turned, raised), 0, 1)
    return _Candidates(
        kind=AnchorKind.GLOBAL,
        subclass=np.full(len(observations), -1, np.int8),
        words=[],
        confidence=(frontal * (0.5 + 0.5 * classes.neutral)).astype(np.float32),
        suits=(scene * _half_if_closed(classes.open_eyes)).astype(np.float32),
        reasons=reasons,
        quota=quota,
    )


def _half_if_closed(open_eyes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) a blink halves the score of a view or a scene; of an expression it may be part."""
    return np.asarray(0.5 + 0.5 * open_eyes, np.float32)


def _viewpoint_candidates(classes: Classes, nobody: Reasons, defects: Reasons, quota: int) -> _Candidates:
    reasons = Reasons(len(classes.view))
    reasons.add_each(nobody)
    reasons.add(classes.view_reasons.only(RejectReason.NO_ANGLE), RejectReason.NO_ANGLE)
    reasons.add_each(defects)
    reasons.add_each(classes.view_reasons)
    return _Candidates(AnchorKind.VIEWPOINT, classes.view, Viewpoint.words(), classes.view_confidence, _half_if_closed(classes.open_eyes), reasons, quota)


def _expression_candidates(observations: Observations, classes: Classes, nobody: Reasons, defects: Reasons, quota: int) -> _Candidates:
    reasons = Reasons(len(classes.expression))
    reasons.add_each(nobody)
    reasons.add(~observations.has_face, RejectReason.NO_FACE)
    reasons.add(classes.expression_reasons.only(RejectReason.NO_EXPRESSION), RejectReason.NO_EXPRESSION)
    reasons.add_each(defects)
    reasons.add_each(classes.expression_reasons)
    return _Candidates(
        kind=AnchorKind.EXPRESSION,
        subclass=classes.expression,
        words=Expression.words(),
        confidence=classes.expression_confidence,
        suits=np.ones(len(reasons.codes), np.float32),
        reasons=reasons,
        quota=quota,
        leaning=np.where(reasons.only(RejectReason.UNCERTAIN_EXPRESSION), classes.leaning, -1).astype(np.int8),
    )


def _rows(
    observations: Observations,
    character: NDArray[np.int64],
    character_ids: list[str],
    yaw: NDArray[np.float32],
    quality: NDArray[np.float32],
    candidates: _Candidates,
    score: NDArray[np.float32],
    ranks: NDArray[np.int64],
) -> pa.Table:
    """Rows of the anchors table, in the order of the observations."""
    table, chosen, count = observations.table, ranks >= 0, len(observations)
    of_track = [observations.track_ids[track] for track in observations.track.tolist()]
    names = [f"{track}-{pts}-{candidates.kind.word}" for track, pts in zip(of_track, observations.pts_ns.tolist(), strict=True)]
    subclass = words_column(candidates.subclass.astype(np.int64), candidates.words)
    leaning = candidates.leaning if candidates.leaning is not None else np.full(count, -1, np.int8)
    status = words_column((~chosen).astype(np.int64), [Status.ACCEPTED, Status.REJECTED])
    reason = candidates.reasons.column()
    place = pa.array(ranks.astype(np.int32), mask=~chosen)
    columns = {
        "anchor_id": pa.array(names, pa.string()),
        "video_id": table["video_id"],
        "shot_id": table["shot_id"],
        "track_id": table["track_id"],
        "character_id": pa.array([character_ids[number] if number >= 0 else None for number in character.tolist()], pa.string()),
        "pts_ns": table["pts_ns"],
        "kind": words_column(np.zeros(count, np.int64), [candidates.kind.word]),
        "subclass": subclass,
        "likeliest": words_column(leaning.astype(np.int64), candidates.words),
        "status": status,
        "reason": reason,
        "rank": place,
        "score": _optional(score),
        "confidence": _optional(candidates.confidence),
        "quality": pa.array(quality),
        "face_box": table["face_box"].cast(BOX),
        "body_box": table["body_box"].cast(BOX),
        "yaw": _optional(yaw),
        "pitch": pc.cast(table["pitch"], pa.float32()),
        "roll": pc.cast(table["roll"], pa.float32()),
        "selected_subclass": subclass,
        "selected_status": status,
        "selected_reason": reason,
        "selected_rank": place,
        "decision": pa.nulls(count, WORD),
        "verdict_id": pa.nulls(count, pa.string()),
    }
    return pa.table(columns, schema=ANCHORS.columns)


def _optional(values: NDArray[np.float32]) -> pa.Array:
    return pa.array(values.astype(np.float32), mask=np.isnan(values))
