"""The whole of select on drawn people, with the real classifiers of views and expressions."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.characters import CharacterOptions
from pipeline.select.clips import ClipOptions
from pipeline.select.ranking import RankingOptions
from pipeline.select.video import Selection, SelectOptions, select_video
from schemas.tables import ANCHORS, CHARACTERS, CLIPS, OBSERVATIONS, SHOTS, TRACKS
from tests.pipeline.drawn_observations import VIDEO, DrawnVideo


def turning(seconds: float) -> float:
    """Front, left, front, right: two seconds each, quick turns between."""
    return float(np.interp(seconds % 12, [0, 2, 2.5, 4.5, 5, 7, 7.5, 9.5, 10, 12], [0, 0, -85, -85, 0, 0, 85, 85, 0, 0]))


def drawn() -> DrawnVideo:
    """Two people in three shots; the first turns, the second walks away in the last shot, somebody passes."""
    video = DrawnVideo()
    first, second, third = video.shot(0, 12), video.shot(12, 18), video.shot(18, 30, segment=1)
    video.appear(first, 0, yaw=turning)
    video.appear(second, 1)
    video.appear(third, 0, yaw=turning)
    video.appear(third, 1, height=0.12, yaw=lambda _: 178.0, face=lambda seconds: seconds < 20, body_confidence=0.9)
    video.appear(third, 2, start=25, end=25.5, height=0.1)
    return video


def select(video: DrawnVideo, options: SelectOptions | None = None) -> Selection:
    return select_video(VIDEO, video.shots_table, video.observations_table, options)


def accepted(table: pa.Table, **wanted: Any) -> list[dict[str, Any]]:
    rows = [row for row in table.to_pylist() if row["status"] == "accepted"]
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_tables_are_the_contracts_and_sorted() -> None:
    selection = select(drawn())
    for table, rows in ((TRACKS, selection.tracks), (CHARACTERS, selection.characters), (ANCHORS, selection.anchors), (CLIPS, selection.clips)):
        assert rows.schema.equals(table.columns)
        assert len(rows)
        names = rows[table.key[0]].to_pylist()
        assert names == sorted(set(names))


def test_people_views_and_clips_are_found() -> None:
    selection = select(drawn())
    first, second = selection.characters.to_pylist()
    assert (first["character_id"], first["shots"], first["tracks"], first["seconds_visible"]) == (f"{VIDEO}-c00", 2, 2, pytest.approx(24.0))
    assert second["character_id"] == f"{VIDEO}-c01"
    assert first["purity"] == 1
    yaw = {row["pts_ns"]: row["yaw"] for row in drawn().rows if row["track_id"].endswith(("t0000", "t0002"))}
    for side, sign in (("left", -1), ("right", 1)):
        anchors = accepted(selection.anchors, character_id=first["character_id"], kind="viewpoint", subclass=side)
        assert anchors
        assert all(yaw[row["pts_ns"]] * sign > 40 for row in anchors)
    assert accepted(selection.anchors, character_id=first["character_id"], kind="global")
    clips = accepted(selection.clips)
    assert {row["character_id"] for row in clips} == {first["character_id"], second["character_id"]}
    assert {row["end_ns"] - row["start_ns"] for row in clips} == {5_062_500_000}
    assert all(row["anchors_outside"] > 0 for row in clips if row["character_id"] == first["character_id"])


def test_a_passer_by_is_nobody() -> None:
    selection = select(drawn())
    (row,) = [row for row in selection.tracks.to_pylist() if row["character_id"] is None]
    assert row["reason"] == "too_few_faces"
    assert row["observations"] == 2


def test_the_funnel_adds_up() -> None:
    video = drawn()
    counts = select(video).counts
    for kind in ("global", "viewpoint", "expression"):
        chosen = sum(number for key, number in counts.items() if key.split("/")[:2] == ["anchors", kind])
        dropped = sum(number for key, number in counts.items() if key.startswith(f"dropped/{kind}/"))
        assert chosen + dropped == len(video.rows)
    assert counts["candidates"] == 3 * len(video.rows)
    assert counts["characters"] == 2
    assert counts["dropped/track/too_few_faces"] == 1


def test_other_options_other_anchors() -> None:
    one_each = select(
        drawn(), SelectOptions(ranking=RankingOptions(global_anchors=1, viewpoint_anchors=1, expression_anchors=1), clips=ClipOptions(frame_count=49))
    )
    bins = [(row["character_id"], row["kind"], row["subclass"]) for row in accepted(one_each.anchors)]
    assert len(bins) == len(set(bins))
    assert {row["frame_count"] for row in accepted(one_each.clips)} == {49}
    assert {row["end_ns"] - row["start_ns"] for row in accepted(one_each.clips)} == {3_062_500_000}


def test_the_order_of_the_rows_does_not_matter() -> None:
    video = drawn()
    expected = select(video)
    order = np.random.default_rng(0).permutation(len(video.rows))
    shuffled = select_video(VIDEO, video.shots_table.take([2, 0, 1]), video.observations_table.take(order), None)
    for name in ("tracks", "characters", "anchors", "clips"):
        assert getattr(shuffled, name).equals(getattr(expected, name)), name
    assert shuffled.counts == expected.counts


def test_a_video_without_people() -> None:
    video = DrawnVideo()
    video.shot(0, 4)
    selection = select_video(VIDEO, video.shots_table, OBSERVATIONS.empty())
    assert [len(table) for table in (selection.tracks, selection.characters, selection.anchors, selection.clips)] == [0] * 4
    assert selection.counts == {"anchors": 0, "candidates": 0, "characters": 0, "clips": 0, "pending": 0, "tracks": 0}


def test_rows_of_another_video_or_of_unknown_shots_are_errors() -> None:
    video = drawn()
    with pytest.raises(ValueError, match=VIDEO):
        select_video("ffff", video.shots_table, video.observations_table)
    with pytest.raises(ValueError, match="no row in shots"):
        select_video(VIDEO, SHOTS.empty(), video.observations_table)


def test_an_hour_of_five_people() -> None:
    video = DrawnVideo()
    for number in range(120):
        shot = video.shot(number * 30, number * 30 + 30)
        video.appear(shot, number % 3, yaw=turning, embedding=None)
        video.appear(shot, 3 + number % 2, yaw=turning)
    shots, observations = video.shots_table, video.observations_table
    assert len(observations) == 28_800
    selection = select_video(VIDEO, shots, observations)
    assert len(selection.characters) == 5


def test_a_character_without_a_face_has_no_purity_and_no_embedding() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 10), 0, face=lambda _: False)
    options = SelectOptions(characters=CharacterOptions(faceless_bodies=6))
    (row,) = select_video(VIDEO, video.shots_table, video.observations_table, options).characters.to_pylist()
    assert (row["purity"], row["cohesion"], row["nearest_other"], row["embedding"]) == (None, None, None, None)
