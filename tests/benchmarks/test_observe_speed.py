import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import observe_speed
from benchmarks.observe_speed import Memory, Recorder, Speed
from pipeline.video.index import read_index
from tests.barcode import write_video
from tests.pipeline.drawn_people import Drawn, calls, draw, drawn_perception


def test_all_calls_are_made_again_in_their_order() -> None:
    perception, recorder = drawn_perception(), Recorder()
    image = draw([Drawn(100, 60)])
    noted = recorder.around(perception)
    face = noted.faces.detect(image)[0]
    pose = noted.head_pose.estimate(image, face)
    noted.expression.classify(image, face, pose)
    noted.identity.embed(image, face)
    noted.body_pose.estimate(image)
    once = calls(perception).copy()
    assert once == ["faces", "head_pose", "expression", "identity", "body_pose"]
    recorder.replay()
    assert calls(perception) == once * 2


def test_a_repeated_video_is_as_long_as_asked_and_even(tmp_path: Path) -> None:
    source = write_video(tmp_path / "source.mp4", frames=50).path
    observe_speed._repeat(source, tmp_path / "long.mp4", 7.0)
    once, often = read_index(str(source)), read_index(str(tmp_path / "long.mp4"))
    assert often.frame_count % once.frame_count == 0
    seconds = (often.end_ns - often.start_ns) / 1e9
    assert 7.0 <= seconds < 7.0 + (once.end_ns - once.start_ns) / 1e9
    steps = np.diff(often.pts_ns)
    assert steps.max() - steps.min() <= 2


def test_speed_is_measured_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "film.mp4", frames=25).path
    observe_speed.main([str(video), "--repeat", "1", "--out", str(tmp_path / "speed.json")])
    (row,) = json.loads((tmp_path / "speed.json").read_text())
    assert row["video"] == "film.mp4"
    assert min(row["decode"], row["models"], row["end_to_end"]) > 0
    assert row["ratio"] == pytest.approx(row["end_to_end"] / (row["decode"] + row["models"]))
    assert row["steps"]["total"] >= row["steps"]["decode"]
    assert "film.mp4" in capsys.readouterr().out


def test_a_missed_ratio_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert observe_speed._print_speed([Speed("slow", 10.0, 1.0, 1.0, 2.4, {})])
    assert not observe_speed._print_speed([Speed("fast", 10.0, 1.0, 1.0, 2.2, {})])
    assert "MISSED" in capsys.readouterr().out


def test_memory_that_grows_is_a_failure() -> None:
    assert observe_speed._print_memory([Memory(1, 500, 1, 10), Memory(30, 560, 30, 300)])
    assert not observe_speed._print_memory([Memory(1, 500, 1, 10), Memory(30, 540, 30, 300)])


def test_memory_is_that_of_a_process_of_its_own(tmp_path: Path) -> None:
    video = write_video(tmp_path / "film.mp4", frames=25).path
    (row,) = observe_speed._memory(video, [0.02])
    assert 100 < row.peak_mib < 4000
    assert list(tmp_path.iterdir()) == [video]
