from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.assets import fetch
from pipeline.observe import ObserveOptions, SegmentObservations, observe_segment, sampled_times
from pipeline.people import PeopleOptions
from pipeline.perception.models import load_perception
from pipeline.perception.protocols import Image, Perception
from pipeline.video.clock import SECOND
from pipeline.video.index import read_index
from pipeline.video.segments import Segment, plan_segments
from tests.barcode import Kind, write_video
from tests.pipeline.drawn_people import BEHIND, HEAD, Drawn, calls, draw, drawn_perception

OPTIONS = ObserveOptions(samples_per_second=5, people=PeopleOptions(legible_pixels=HEAD))
CUT = 30


def story(number: int) -> Image:
    """One person who turns away from frame 10 to 19; after the cut at 30 another one, in a bright room."""
    if number < CUT:
        return draw([Drawn(100 + number, 50, BEHIND if 10 <= number < 20 else 250, who=1)])
    return np.maximum(draw([Drawn(220, 70, who=5)]), np.array([0, 0, 255], np.uint8))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("observe") / "story.mp4"
    write_video(path, Kind.B_FRAMES, frames=60, picture=story, options={"preset": "veryfast", "crf": "10"})
    return path


def observe(video: Path, segment: Segment | None = None, options: ObserveOptions = OPTIONS) -> SegmentObservations:
    index = read_index(str(video))
    return observe_segment(str(video), index, segment or plan_segments(index)[0], drawn_perception(), options)


def test_shots_cover_the_video_and_the_cut_is_where_it_was_drawn(video: Path) -> None:
    index = read_index(str(video))
    rows = observe(video).shots.to_pylist()
    cut_ns = int(index.pts_ns[CUT])
    assert [(row["start_ns"], row["end_ns"], row["frame_count"]) for row in rows] == [(index.start_ns, cut_ns, 30), (cut_ns, index.end_ns, 30)]
    assert [(row["starts_at"], row["ends_at"]) for row in rows] == [("video", "cut"), ("cut", "video")]


def test_every_sampled_frame_is_looked_at_and_its_people_have_their_places(video: Path) -> None:
    index, observed = read_index(str(video)), observe(video)
    rows = observed.observations.to_pylist()
    assert [row["pts_ns"] for row in rows] == sampled_times(index, 5).tolist()
    for row in rows:
        number = int(np.searchsorted(index.pts_ns, row["pts_ns"]))
        x, y = (100 + number, 50) if number < CUT else (220, 70)
        box = np.array(row["face_box"] or row["body_box"]) * [320, 240, 320, 240]
        assert (box[0] + box[2]) / 2 == pytest.approx(x, abs=2)
        assert (row["face_box"] is None) == (10 <= number < 20)
        if row["face_box"]:
            assert (box[1] + box[3]) / 2 == pytest.approx(y, abs=2)
            assert row["face_pixels"] == HEAD


def test_who_turns_away_keeps_the_track_and_tracks_do_not_cross_the_cut(video: Path) -> None:
    rows = observe(video).observations.to_pylist()
    cut_ns = int(read_index(str(video)).pts_ns[CUT])
    before = {row["track_id"] for row in rows if row["pts_ns"] < cut_ns}
    after = {row["track_id"] for row in rows if row["pts_ns"] >= cut_ns}
    assert (len(before), len(after)) == (1, 1)
    assert before != after
    assert all(row["track_id"].startswith(row["shot_id"] + "-t") for row in rows)


def test_counts_are_those_of_the_tables(video: Path) -> None:
    observed = observe(video)
    rows = observed.observations.to_pylist()
    assert observed.counts == {
        "frames": 60,
        "sampled": 12,
        "shots": 2,
        "tracks": 2,
        "observations": len(rows),
        "faces": sum(row["face_box"] is not None for row in rows),
        "bodies": sum(row["body_box"] is not None for row in rows),
    }
    assert observed.seconds["total"] >= observed.seconds["decode"] > 0


def test_observing_twice_gives_the_same_tables(video: Path) -> None:
    first, second = observe(video), observe(video)
    assert first.shots.equals(second.shots)
    assert first.observations.equals(second.observations)


def test_segments_see_the_same_frames_as_the_whole_and_say_where_the_seam_is(video: Path) -> None:
    index = read_index(str(video))
    seam = int(index.keyframe_ns[2])
    parts = [observe(video, Segment(0, index.start_ns, seam)), observe(video, Segment(1, seam, index.end_ns))]
    times = [time for part in parts for time in part.observations["pts_ns"].to_pylist()]
    assert times == observe(video).observations["pts_ns"].to_pylist()
    assert parts[0].shots.to_pylist()[-1]["ends_at"] == "seam"
    assert parts[1].shots.to_pylist()[0]["starts_at"] == "seam"
    assert {row["segment"] for row in parts[1].shots.to_pylist()} == {1}


def test_the_whole_frame_is_searched_only_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "nobody.mp4"
    write_video(path, frames=75, picture=lambda _: np.zeros((240, 320, 3), np.uint8))
    index, perception = read_index(str(path)), drawn_perception()
    observed = observe_segment(str(path), index, plan_segments(index)[0], perception, OPTIONS)
    assert observed.observations.num_rows == 0
    assert calls(perception).count("faces") == 15
    assert calls(perception).count("body_pose") == 3


@pytest.mark.parametrize("kind", list(Kind))
def test_samples_are_the_first_frames_from_each_point_of_the_grid_on(kind: Kind, tmp_path: Path) -> None:
    written = write_video(tmp_path / "a.mp4", kind, frames=60)
    index = read_index(str(written.path))
    grid = [written.pts_ns[0] + round(k * SECOND / 4) for k in range(100)]
    expected = {next((pts_ns for pts_ns in written.pts_ns if pts_ns >= point), None) for point in grid} - {None}
    assert set(sampled_times(index, 4).tolist()) == expected


def test_no_samples_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="samples_per_second must be more than 0"):
        ObserveOptions(samples_per_second=0)


@pytest.fixture(scope="module")
def real() -> Iterator[Perception]:
    with load_perception() as models:
        yield models


def observed(asset: str, models: Perception) -> SegmentObservations:
    uri = str(fetch(asset))
    index = read_index(uri)
    return observe_segment(uri, index, plan_segments(index)[0], models)


def test_who_never_shows_a_face_is_one_track_without_identity(real: Perception) -> None:
    rows = observed("single_person_cam04", real).observations.to_pylist()
    assert len(rows) == len({row["pts_ns"] for row in rows}) == 7
    assert len({row["track_id"] for row in rows}) == 1
    assert all(row["face_box"] is row["embedding"] is None and abs(row["body_yaw"]) > 90 for row in rows)


def test_the_real_models_remember_nothing_of_another_video(real: Perception) -> None:
    first = observed("single_person_cam02", real)
    observed("single_person_cam04", real)
    again = observed("single_person_cam02", real)
    # NaN differs from itself, its text does not
    assert str(again.observations.to_pylist()) == str(first.observations.to_pylist())
    assert again.shots.equals(first.shots)


def test_a_video_without_people_has_no_observations(real: Perception) -> None:
    assert observed("no_face", real).counts["observations"] == 0
