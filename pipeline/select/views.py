"""Which side of a character each observation shows, judged along its track.

The head decides where a face is seen, the shoulders where none is. Single measurements are not trusted: shoulders seen from behind are now
and then taken for shoulders seen from the front (a flip by 180 degrees), a face mesh jumps. So every angle is compared with its neighbours
in time, and what does not agree abstains. Between two views there is a dead zone, because an anchor must be clear.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.video.clock import SECOND
from schemas.vocabulary import AngleSource, RejectReason, Viewpoint

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """When a view is clear. Angles are degrees of yaw to either side: 0 faces the camera, 180 faces away.

    Attributes:
        front_to: a seen face is ``front`` up to this.
        side_from: a seen face is ``left`` or ``right`` from this on.
        body_side_from: a body without a face is ``left`` or ``right`` from this on; it needs to be clearer, because shoulders are coarser.
        body_side_to: and up to this.
        back_from: a body without a face is ``back`` from this on.
        min_backs: how many observations of a window must agree on ``back``: shoulders that were taken for their opposite once do not count.
        min_body_confidence: 0..1, bodies below it have no angle.
        window_seconds: how far the neighbours in time reach, to each side.
        agreement: degrees within which neighbours agree.
        min_agreement: share of the neighbours that must agree, 0..1.
        face_veto_seconds: a face seen this close in time, and turned by less than face_veto_yaw, forbids ``back``: heads do not turn so fast.
        face_veto_yaw: see face_veto_seconds.
    """

    front_to: float = 20.0
    side_from: float = 55.0
    body_side_from: float = 75.0
    body_side_to: float = 100.0
    back_from: float = 130.0
    min_backs: int = 2
    min_body_confidence: float = 0.5
    window_seconds: float = 0.6
    agreement: float = 35.0
    min_agreement: float = 0.6
    face_veto_seconds: float = 0.3
    face_veto_yaw: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.front_to <= self.side_from <= 180:
            raise ValueError(f"front_to ({self.front_to}) must not exceed side_from ({self.side_from})")
        if not 0 < self.body_side_from <= self.body_side_to <= self.back_from <= 180:
            raise ValueError(f"body_side_from, body_side_to and back_from must ascend: {self.body_side_from}, {self.body_side_to}, {self.back_from}")


@dataclass(frozen=True)
class Views:
    """What N observations of one track show.

    Attributes:
        codes: (N,) Viewpoint code, -1 where it abstains.
        yaw: (N,) degrees (-180, 180], smoothed along the track; NaN where there is none.
        confidence: (N,) 0..1: how far inside its view the angle lies, times the share of neighbours that agree; NaN where it abstains.
        reasons: why it abstains, None where it does not.
    """

    codes: NDArray[np.int8]
    yaw: Floats
    confidence: Floats
    reasons: list[RejectReason | None]


def classify_views(
    pts_ns: NDArray[np.int64],
    yaw: Floats,
    angle_source: list[str | None],
    body_yaw: Floats,
    body_confidence: Floats,
    has_face: NDArray[np.bool_],
    options: ViewOptions,
) -> Views:
    """The views of one track.

    Args:
        pts_ns: (N,) ascending times.
        yaw: (N,) of the head, NaN where it was not measured.
        angle_source: N words of AngleSource, None where there is no yaw.
        body_yaw: (N,) of the shoulders, NaN where they were not measured.
        body_confidence: (N,) 0..1, NaN likewise.
        has_face: (N,) whether the face was seen.
        options: when a view is clear.
    """
    by_head = has_face & ~np.isnan(yaw)
    by_body = ~has_face & ~np.isnan(body_yaw) & (np.nan_to_num(body_confidence) >= options.min_body_confidence)
    weight = np.where(np.array([source == AngleSource.POINTS for source in angle_source], bool), 0.5, 1.0)
    views = Views(np.full(len(pts_ns), -1, np.int8), np.full(len(pts_ns), np.nan, np.float32), np.full(len(pts_ns), np.nan, np.float32), [])
    vetoes = pts_ns[by_head & (np.abs(np.nan_to_num(yaw)) < options.face_veto_yaw)]
    for row in range(len(pts_ns)):
        views.reasons.append(RejectReason.NO_ANGLE)
        same_kind = by_head if by_head[row] else by_body
        if not same_kind[row]:
            continue
        angles = yaw if by_head[row] else body_yaw
        near = same_kind & (np.abs(pts_ns - pts_ns[row]) <= options.window_seconds * SECOND)
        smoothed, agreement, agreeing = smooth_angle(angles[near], weight[near], float(angles[row]), options.agreement)
        views.yaw[row] = smoothed
        if by_head[row]:
            view, clearness = view_of_head(smoothed, float(angles[row]), options)
        else:
            view, clearness = view_of_body(smoothed, float(angles[row]), options)
        vetoed = view is Viewpoint.BACK and bool((np.abs(vetoes - pts_ns[row]) <= options.face_veto_seconds * SECOND).any())
        faceless_front = not by_head[row] and abs(smoothed) < options.body_side_from
        alone = view is Viewpoint.BACK and agreeing < options.min_backs
        if agreement < options.min_agreement or vetoed or faceless_front or alone:
            views.reasons[row] = RejectReason.CONTRADICTED_ANGLE
        elif view is None:
            views.reasons[row] = RejectReason.AMBIGUOUS_ANGLE
        else:
            views.reasons[row] = None
            views.codes[row] = view
            views.confidence[row] = clearness * agreement
    return views


def smooth_angle(angles: Floats, weights: NDArray[np.float64], angle: float, tolerance: float) -> tuple[float, float, int]:
    """A smoothed angle and how well its neighbours agree with it.

    Args:
        angles: (K,) degrees, the neighbours in time, ``angle`` itself included.
        weights: (K,) of the neighbours.
        angle: degrees, the one to smooth.
        tolerance: degrees within which two angles agree.

    Returns:
        The weighted circular mean of the angles that agree with ``angle``, degrees (-180, 180]; their share of the weight, 0..1; their number.
    """
    agrees = np.abs(turn(angles, angle)) <= tolerance
    mean = float(np.average(turn(angles[agrees], angle), weights=weights[agrees]))
    return -float(turn(-(angle + mean), 0.0)), float(weights[agrees].sum() / weights.sum()), int(agrees.sum())


def turn(angles: NDArray[np.floating[Any]] | float, reference: float) -> NDArray[np.floating[Any]]:
    """The turn from ``reference`` to each angle, degrees [-180, 180)."""
    return np.asarray((np.asarray(angles) - reference + 180.0) % 360.0 - 180.0)


def view_of_head(smoothed: float, measured: float, options: ViewOptions) -> tuple[Viewpoint | None, float]:
    """The view of a seen face and how clear it is, 0.5..1; None in the dead zone. Both angles must lie in the view, degrees."""
    low, high = sorted((abs(smoothed), abs(measured)))
    if high <= options.front_to:
        return Viewpoint.FRONT, 1.0 - 0.5 * high / options.front_to
    if options.side_from <= low and high <= 180.0 - options.side_from and smoothed * measured > 0:  # a face that is seen does not look away
        return _side(smoothed), 0.5 + 0.5 * min(1.0, (low - options.side_from) / (90.0 - options.side_from + 1e-9))
    return None, 0.0


def view_of_body(smoothed: float, measured: float, options: ViewOptions) -> tuple[Viewpoint | None, float]:
    """The view of a body without a face and how clear it is, 0.5..1; None in a dead zone. Both angles must lie in the view, degrees.

    A body cannot be ``front``: its face would be seen.
    """
    low, high = sorted((abs(smoothed), abs(measured)))
    if options.body_side_from <= low and high <= options.body_side_to and smoothed * measured > 0:
        middle, reach = (options.body_side_to + options.body_side_from) / 2, (options.body_side_to - options.body_side_from) / 2
        return _side(smoothed), 1.0 - 0.5 * min(1.0, abs(abs(smoothed) - middle) / max(reach, 1e-9))
    if low >= options.back_from:
        return Viewpoint.BACK, 0.5 + 0.5 * (low - options.back_from) / max(180.0 - options.back_from, 1e-9)
    return None, 0.0


def _side(yaw: float) -> Viewpoint:
    return Viewpoint.LEFT if yaw < 0 else Viewpoint.RIGHT
