from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pipeline.observations import Observations
from pipeline.select.clips import ClipOptions, Shot, choose_clips
from tests.pipeline.drawn_observations import PERIOD, VIDEO, DrawnVideo

SECOND = 1_000_000_000
LENGTH = 5_062_500_000


def clips(video: DrawnVideo, people: dict[str, int], anchors: list[list[float]] | None = None, **options: Any) -> list[dict[str, Any]]:
    """Rows, given which track is which person (others have no character) and the times of each person's anchors."""
    seen = Observations.from_table(video.observations_table)
    of_track = np.array([people.get(track, -1) for track in seen.track_ids])
    shots = {shot["shot_id"]: Shot(shot["shot_id"], shot["start_ns"], shot["end_ns"], PERIOD * SECOND) for shot in video.shots}
    count = max(people.values(), default=-1) + 1
    times = [np.array([round(time * SECOND) for time in ([1.0] if anchors is None else anchors[number])], np.int64) for number in range(count)]
    names = [f"{VIDEO}-c{number:02d}" for number in range(count)]
    table = choose_clips(seen, of_track[seen.track], names, shots, times, ClipOptions(**options))
    return [row | {"seconds": (row["start_ns"] / SECOND, row["end_ns"] / SECOND)} for row in sorted(table.to_pylist(), key=lambda row: row["start_ns"])]


def test_a_shot_is_tiled_by_clips_of_exactly_one_length_that_do_not_overlap() -> None:
    video = DrawnVideo()
    track = video.appear(video.shot(3, 21), 0)
    rows = clips(video, {track: 0})
    accepted = [row for row in rows if row["status"] == "accepted"]
    assert len(accepted) == 3
    assert accepted[0]["start_ns"] == 3 * SECOND
    assert {row["end_ns"] - row["start_ns"] for row in accepted} == {LENGTH}
    assert {row["frame_count"] for row in accepted} == {81}
    assert all(first["end_ns"] <= second["start_ns"] for first, second in pairwise(accepted))
    times = {row["pts_ns"] for row in video.rows}
    assert {row["start_ns"] for row in accepted} <= times, "clips start at frames that were looked at"
    assert {row["visible_share"] for row in accepted} == {1.0}
    assert [row["reason"] for row in rows] == [None, None, None, "too_short"]
    assert rows[-1]["end_ns"] == 21 * SECOND
    assert accepted[1]["clip_id"] == f"{VIDEO}-c00-{accepted[1]['start_ns']}"


def test_a_stride_overlaps() -> None:
    video = DrawnVideo()
    track = video.appear(video.shot(0, 10.2), 0)
    rows = clips(video, {track: 0}, stride=1.0)
    assert [row["seconds"][0] for row in rows if row["status"] == "accepted"] == [0, 1, 2, 3, 4, 5]


def test_a_shot_that_is_too_short() -> None:
    video = DrawnVideo()
    track = video.appear(video.shot(0, 5), 0)
    (row,) = clips(video, {track: 0})
    assert (row["status"], row["reason"], row["seconds"]) == ("rejected", "too_short", (0, 5))


def test_no_clip_crosses_a_cut() -> None:
    video = DrawnVideo()
    tracks = {video.appear(video.shot(start, start + 4), 0): 0 for start in (0, 4, 8)}
    assert {row["reason"] for row in clips(video, tracks)} == {"too_short"}


def test_out_of_sight_for_longer_than_allowed() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 9)
    tracks = {video.appear(shot, 0, end=4): 0, video.appear(shot, 0, start=5): 0}
    rows = clips(video, tracks)
    assert [(row["reason"], row["seconds"]) for row in rows] == [("not_visible_throughout", (0, 4)), ("not_visible_throughout", (5, 9))]
    (joined, _) = clips(video, tracks, max_gap=2.0)
    assert joined["status"] == "accepted"
    assert joined["visible_share"] == pytest.approx(17 / 21)


def test_one_miss_is_tolerated_and_shows_in_the_share() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 5.25)
    tracks = {video.appear(shot, 0, end=2): 0, video.appear(shot, 0, start=2.25): 0}
    (row,) = clips(video, tracks)
    assert row["status"] == "accepted"
    assert row["visible_share"] == pytest.approx(20 / 21)
    assert row["track_id"] == max(tracks), "the one that is seen longest"


def test_another_of_the_same_size() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 5.25)
    tracks = {video.appear(shot, 0): 0, video.appear(shot, 1): 1}
    assert {row["reason"] for row in clips(video, tracks, anchors=[[1], [1]])} == {"another_character"}
    allowed = clips(video, tracks, anchors=[[1], [1]], largest_other=1.0)
    assert {row["status"] for row in allowed} == {"accepted"}
    assert {row["others"] for row in allowed} == {1}


def test_a_smaller_or_shorter_other_is_fine_for_the_main_character_only() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 5.25)
    main, small = video.appear(shot, 0, height=0.4), video.appear(shot, 1, height=0.1)
    passer = video.appear(shot, 2, height=0.4, start=1, end=2)
    rows = clips(video, {main: 0, small: 1}, anchors=[[1], [1]])
    assert {row["character_id"][-3:]: row["reason"] for row in rows} == {"c00": None, "c01": "another_character"}
    assert {row["others"] for row in rows} == {2}
    assert passer not in {row["track_id"] for row in rows}


def test_a_character_without_anchors() -> None:
    video = DrawnVideo()
    track = video.appear(video.shot(0, 5.25), 0)
    (row,) = clips(video, {track: 0}, anchors=[[]])
    assert row["reason"] == "too_few_anchors"


def test_anchors_are_counted_on_both_sides_of_the_half_open_span() -> None:
    video = DrawnVideo()
    track = video.appear(video.shot(0, 5.25), 0)
    (row,) = clips(video, {track: 0}, anchors=[[0, 1, 5.0625, 9]])
    assert (row["anchors_inside"], row["anchors_outside"]) == (2, 2)


def test_faces_can_be_asked_for() -> None:
    video = DrawnVideo()
    track = video.appear(video.shot(0, 5.25), 0, face=lambda time: time < 2)
    (row,) = clips(video, {track: 0})
    assert row["status"] == "accepted"
    assert row["face_share"] == pytest.approx(8 / 21)
    (row,) = clips(video, {track: 0}, min_face_share=0.5)
    assert row["reason"] == "not_visible_throughout"


def test_nobody_gives_no_rows() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 20), 0)
    assert clips(video, {}) == []


@pytest.mark.parametrize("wrong", [{"frame_count": 80}, {"frame_count": 0}, {"frame_rate": 0.0}, {"max_gap": 0.0}, {"stride": 0.0}])
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        ClipOptions(**wrong)
