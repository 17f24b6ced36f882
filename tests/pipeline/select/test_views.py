"""Views of drawn tracks: angles over time are chosen, so what should be read is known."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import circmean

from pipeline.select.views import ViewOptions, Views, classify_views, smooth_angle, turn
from schemas.vocabulary import RejectReason, Viewpoint

QUARTER = 250_000_000
OPTIONS = ViewOptions()
F, L, R, B = Viewpoint.FRONT, Viewpoint.LEFT, Viewpoint.RIGHT, Viewpoint.BACK


def views(
    heads: list[float | None],
    bodies: list[float | None] | None = None,
    options: ViewOptions = OPTIONS,
    sources: list[str | None] | None = None,
    confidence: float = 0.9,
    faces: list[bool] | None = None,
    step_ns: int = QUARTER,
) -> Views:
    """The views of a track: a head yaw (or None) and a body yaw (or None) per observation."""
    count = len(heads)
    yaw = np.array([np.nan if head is None else head for head in heads], np.float32)
    body_yaw = np.full(count, np.nan, np.float32) if bodies is None else np.array([np.nan if body is None else body for body in bodies], np.float32)
    seen = ~np.isnan(yaw) if faces is None else np.array(faces)
    words = sources or [None if head is None else "landmarks" for head in heads]
    return classify_views(np.arange(count) * step_ns, yaw, words, body_yaw, np.where(np.isnan(body_yaw), np.nan, confidence), seen, options)


def read(found: Views) -> list[Viewpoint | None]:
    return [None if code < 0 else Viewpoint(code) for code in found.codes.tolist()]


def test_the_side_is_the_one_the_camera_sees() -> None:
    """The nose at image-left (yaw -90) shows the left profile."""
    assert read(views([-85.0] * 3)) == [L] * 3
    assert read(views([85.0] * 3)) == [R] * 3
    assert read(views([None] * 3, [-88.0] * 3)) == [L] * 3
    assert read(views([None] * 3, [88.0] * 3)) == [R] * 3
    assert read(views([3.0] * 3)) == [F] * 3
    assert read(views([None] * 4, [175.0, -175.0, 180.0, -170.0])) == [B] * 4


def test_a_person_who_turns_around_is_read_in_order_with_gaps_between() -> None:
    angles = np.arange(0, 361, 12.0)
    angles = turn(angles, 0.0)
    heads = [float(angle) if abs(angle) < 95 else None for angle in angles]
    bodies = [None if abs(angle) < 95 else float(angle) for angle in angles]
    found = read(views(heads, bodies))
    clear = [view for view in found if view is not None]
    assert [view for k, view in enumerate(clear) if k == 0 or view != clear[k - 1]] == [F, R, B, L, F]
    for k in range(1, len(found)):
        assert found[k] is None or found[k - 1] is None or found[k] == found[k - 1]


@pytest.mark.parametrize(
    ("yaw", "reason"), [(35.0, RejectReason.AMBIGUOUS_ANGLE), (-45.0, RejectReason.AMBIGUOUS_ANGLE), (None, RejectReason.NO_ANGLE), (5.0, None)]
)
def test_a_head_between_two_views_or_without_an_angle_says_so(yaw: float | None, reason: RejectReason | None) -> None:
    found = views([yaw] * 3, faces=[True] * 3)
    assert found.reasons == [reason] * 3
    assert (found.codes >= 0).tolist() == [reason is None] * 3
    assert (np.isnan(found.confidence) == (found.codes < 0)).all()


def test_a_seen_face_is_never_a_back_whatever_the_shoulders_say() -> None:
    found = views([10.0] * 4, [178.0] * 4)
    assert read(found) == [F] * 4
    without_pose = views([None] * 4, [178.0] * 4, faces=[True] * 4)
    assert without_pose.reasons == [RejectReason.NO_ANGLE] * 4


def test_a_face_a_moment_ago_vetoes_the_back_and_the_veto_ends() -> None:
    found = views([10.0, 10.0] + [None] * 6, [None, None] + [178.0] * 6)
    assert found.reasons[2] is RejectReason.CONTRADICTED_ANGLE
    assert read(found)[4:] == [B] * 4
    turning = views([-40.0, -80.0] + [None] * 6, [None, None] + [-178.0] * 6)
    assert read(turning)[2] is B


def test_shoulders_taken_for_their_opposite_once_are_not_believed() -> None:
    bodies: list[float | None] = [170.0, 172.0, 175.0, -6.0, 178.0, -176.0, -174.0]
    found = views([None] * 7, bodies)
    assert read(found) == [B, B, B, None, B, B, B]
    assert found.reasons[3] is RejectReason.CONTRADICTED_ANGLE
    fronts: list[float | None] = [2.0, 4.0, 0.0, 178.0, -2.0, 3.0]
    assert B not in read(views([None] * 6, fronts))


def test_a_single_back_counts_only_when_asked() -> None:
    assert views([None], [178.0]).reasons == [RejectReason.CONTRADICTED_ANGLE]
    assert read(views([None], [178.0], ViewOptions(min_backs=1))) == [B]


def test_a_body_that_faces_the_camera_without_a_face_is_contradicted() -> None:
    assert views([None] * 3, [5.0] * 3).reasons == [RejectReason.CONTRADICTED_ANGLE] * 3


def test_an_uncertain_body_has_no_angle() -> None:
    found = views([None] * 3, [178.0] * 3, confidence=0.3)
    assert found.reasons == [RejectReason.NO_ANGLE] * 3
    assert np.isnan(found.yaw).all()


def test_a_head_that_jumps_is_contradicted_by_its_neighbours() -> None:
    found = views([2.0, 0.0, 75.0, 1.0, -2.0])
    assert found.reasons[2] is RejectReason.CONTRADICTED_ANGLE
    assert read(found)[:2] == [F, F]
    assert np.abs(found.yaw[[0, 1, 3, 4]]).max() < 3


def test_neighbours_are_near_in_time_not_in_number() -> None:
    assert read(views([2.0, 0.0, 75.0, 1.0, -2.0], step_ns=2_000_000_000)) == [F, F, R, F, F]


def test_the_clearest_angles_have_the_highest_confidence() -> None:
    for angles in ([0.0, 10.0, 19.0], [85.0, 70.0, 58.0]):
        confidences = [float(views([angle] * 3).confidence[1]) for angle in angles]
        assert confidences == sorted(confidences, reverse=True)
        assert 0.5 <= confidences[-1] < confidences[0] <= 1
    backs = [float(views([None] * 3, [angle] * 3).confidence[1]) for angle in (179.0, 150.0, 132.0)]
    assert backs == sorted(backs, reverse=True)


def test_options_move_the_bins_and_nonsense_is_refused() -> None:
    assert read(views([30.0] * 3, options=ViewOptions(front_to=15, side_from=25))) == [R] * 3
    with pytest.raises(ValueError, match="front_to"):
        ViewOptions(front_to=60, side_from=50)
    with pytest.raises(ValueError, match="must ascend"):
        ViewOptions(back_from=80)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=8), st.floats(-180, 180))
def test_the_smoothed_angle_is_the_circular_mean_of_those_that_agree(offsets: list[float], center: float) -> None:
    angles = np.asarray(turn(np.array([0.0, *offsets], np.float64) + center, 0.0), np.float32)
    smoothed, share, number = smooth_angle(angles, np.ones(len(angles)), float(angles[0]), 35.0)
    expected = circmean(angles.astype(np.float64), high=180, low=-180)
    assert abs(float(turn(np.float64(smoothed), expected))) < 2.0
    assert -180 < smoothed <= 180
    assert (share, number) == (1.0, len(angles))


@example([(180.0, True)])
@example([(-130.0, True)])
@given(st.lists(st.tuples(st.floats(-180, 180), st.booleans()), min_size=1, max_size=12))
def test_every_observation_has_a_class_or_a_reason_and_its_mirror_image_the_mirrored_view(track: list[tuple[float, bool]]) -> None:
    heads = [yaw if seen else None for yaw, seen in track]
    bodies = [None if seen else yaw for yaw, seen in track]
    found = views(heads, bodies)
    other = views([None if yaw is None else -yaw for yaw in heads], [None if yaw is None else -yaw for yaw in bodies])
    assert [(code < 0) for code in found.codes] == [reason is not None for reason in found.reasons]
    swap = {F: F, B: B, L: R, R: L, None: None}
    assert [swap[view] for view in read(found)] == read(other)
