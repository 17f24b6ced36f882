"""What each observation shows: its view, judged along its track, and its expression, judged against its character."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.observations import Observations
from pipeline.perception.expression_calibration import FEATURE_COUNT, movement
from pipeline.select.expressions import ExpressionOptions, classify_expressions
from pipeline.select.reasons import Reasons
from pipeline.select.views import ViewOptions, classify_views
from schemas.vocabulary import Expression, RejectReason

CLOSING, CLOSED = 0.35, 0.65
"""The face mesh's blink coefficient from which eyes begin to close, and from which they are closed."""


@dataclass(frozen=True)
class Classes:
    """What the classifiers say about N observations.

    Attributes:
        view: (N,) Viewpoint code, -1 where it abstains.
        view_confidence: (N,) 0..1, NaN where it abstains.
        view_reasons: why it abstains.
        yaw: (N,) degrees, smoothed along the track; NaN where there is none.
        expression: (N,) Expression code, -1 where it abstains.
        leaning: (N,) Expression code where it abstains for want of certainty alone, -1 elsewhere.
        expression_confidence: (N,) 0..1, NaN where it abstains.
        expression_reasons: why it abstains.
        neutral: (N,) probability of the neutral expression, NaN without a face.
        open_eyes: (N,) 1 where the eyes are open or nobody can tell, 0 where they are closed.
    """

    view: NDArray[np.int8]
    view_confidence: NDArray[np.float32]
    view_reasons: Reasons
    yaw: NDArray[np.float32]
    expression: NDArray[np.int8]
    leaning: NDArray[np.int8]
    expression_confidence: NDArray[np.float32]
    expression_reasons: Reasons
    neutral: NDArray[np.float32]
    open_eyes: NDArray[np.float32]


def classify(observations: Observations, character: NDArray[np.int64], views: ViewOptions, expressions: ExpressionOptions) -> Classes:
    """Classify the observations of one video: views track by track, expressions character by character.

    Args:
        observations: N of them.
        character: (N,) number of the character, -1 without one; those have no expression.
        views: thresholds.
        expressions: thresholds.
    """
    count = len(observations)
    classes = Classes(
        view=np.full(count, -1, np.int8),
        view_confidence=np.full(count, np.nan, np.float32),
        view_reasons=Reasons(count),
        yaw=np.full(count, np.nan, np.float32),
        expression=np.full(count, -1, np.int8),
        leaning=np.full(count, -1, np.int8),
        expression_confidence=np.full(count, np.nan, np.float32),
        expression_reasons=Reasons(count),
        neutral=np.full(count, np.nan, np.float32),
        open_eyes=_open_eyes(observations.features),
    )
    for track in range(len(observations.track_ids)):
        _classify_track(observations, observations.rows_of(track), views, classes)
    unclear = ~observations.has_face | np.isnan(observations.probabilities).any(axis=1)
    classes.expression_reasons.add(unclear | (character < 0), RejectReason.NO_EXPRESSION)
    order = np.argsort(character, kind="stable")
    order = order[classes.expression_reasons.free[order]]
    for rows in np.split(order, np.flatnonzero(np.diff(character[order])) + 1):
        if len(rows):
            _classify_character(observations, rows, expressions, classes)
    return classes


def _open_eyes(features: NDArray[np.float32]) -> NDArray[np.float32]:
    if features.shape[1] != FEATURE_COUNT:
        return np.ones(len(features), np.float32)
    blink = np.nan_to_num(movement(features, "eyeBlink"))
    return np.asarray(1 - np.clip((blink - CLOSING) / (CLOSED - CLOSING), 0, 1), np.float32)


def _classify_track(observations: Observations, rows: slice, options: ViewOptions, classes: Classes) -> None:
    found = classify_views(
        observations.pts_ns[rows],
        observations.yaw[rows],
        observations.angle_source[rows],
        observations.body_yaw[rows],
        observations.body_confidence[rows],
        observations.has_face[rows],
        options,
    )
    _check(found.codes, found.reasons)
    classes.view[rows] = found.codes
    classes.view_confidence[rows] = found.confidence
    classes.yaw[rows] = found.yaw
    classes.view_reasons.set_rows(rows, found.reasons)


def _classify_character(observations: Observations, rows: NDArray[np.int64], options: ExpressionOptions, classes: Classes) -> None:
    found = classify_expressions(observations.features[rows], observations.probabilities[rows], observations.yaw[rows], observations.pitch[rows], options)
    _check(found.codes, found.reasons)
    classes.expression[rows] = found.codes
    classes.leaning[rows] = found.leaning
    classes.expression_confidence[rows] = found.confidence
    classes.expression_reasons.set_rows(rows, found.reasons)
    classes.neutral[rows] = found.probabilities[:, Expression.NEUTRAL]


def _check(codes: NDArray[np.int8], reasons: list[RejectReason | None]) -> None:
    if any((code < 0) != (reason is not None) for code, reason in zip(codes.tolist(), reasons, strict=True)):
        raise ValueError("a classifier must give each observation a class or a reason, and not both")
