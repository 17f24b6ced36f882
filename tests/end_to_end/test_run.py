"""The command line on real videos: what it leaves, that it does nothing twice, and that no kill and no engine changes the result."""

import io
import json
import os
import shutil
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import webdataset
from PIL import Image

from pipeline.assets import fetch
from tests.barcode import write_video
from tests.end_to_end.outputs import OBSERVE, ROOT, SMALL, command, environment, names, run, shard_hashes, states, tables

LOCAL = ["--engine.engine", "local"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face that cries and laughs, a face, nobody, a file that is no video."""
    folder = tmp_path_factory.mktemp("videos")
    for name in ("cry_to_laugh", "single_face", "no_face"):
        shutil.copy(fetch(name), folder / f"{name}.mp4")
    (folder / "letter.mp4").write_text("Dear reader, this is not a video.")
    return folder


@pytest.fixture(scope="module")
def out(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run in one process leaves. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("run") / "out"
    run("run", "--videos", videos, videos / "missing.mp4", "--out", folder, *SMALL, *LOCAL)
    return folder


@pytest.fixture
def again(out: Path, tmp_path: Path) -> Path:
    shutil.copytree(out, tmp_path / "out")
    return tmp_path / "out"


def of(out: Path, table: str, video: str) -> list[dict[str, Any]]:
    """The rows of a table that belong to a video."""
    found = tables(out)
    (video_id,) = [row["video_id"] for row in found["videos"] if Path(row["uri"]).stem == video]
    return [row for row in found[table] if row["video_id"] == video_id]


def test_every_input_is_either_in_the_tables_or_in_the_failures(out: Path) -> None:
    found = tables(out)
    assert {Path(row["uri"]).stem for row in found["videos"]} == {"cry_to_laugh", "single_face", "no_face"}
    failures = {(Path(row["source"]).name, row["stage"], row["kind"]) for row in found["failures"]}
    assert failures == {("letter.mp4", "plan", "not_a_video"), ("missing.mp4", "plan", "not_found")}
    assert [table for table, rows in found.items() if not rows] == ["verdicts"]  # there is no judge


def test_a_long_video_is_observed_in_segments_and_its_person_joined_across_them(out: Path) -> None:
    segments = [row for row in of(out, "units", "cry_to_laugh") if row["stage"] == "observe"]
    assert len(segments) > 1
    assert all(before["end_ns"] == after["start_ns"] for before, after in pairwise(segments))
    (character,) = of(out, "characters", "cry_to_laugh")
    assert character["tracks"] > 1  # a track ends at a seam


def test_people_are_found_where_they_are(out: Path) -> None:
    assert of(out, "characters", "no_face") == []
    bins = {(row["kind"], row["subclass"]) for row in of(out, "anchors", "cry_to_laugh") if row["status"] == "pending"}
    assert {("viewpoint", "front"), ("expression", "happy")} <= bins


def test_webdataset_streams_the_shards(out: Path) -> None:
    urls = [str(path) for path in sorted((out / "shards").glob("*.tar"))]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    accepted = {row["clip_id"] for row in tables(out)["clips"] if row["status"] == "accepted"}
    assert {sample["__key__"] for sample in samples} == accepted != set()
    for sample in samples:
        metadata = json.loads(sample["json"])
        pictures = [name for name in sample if name.endswith(".jpg")]
        assert len(pictures) == len(metadata["anchors"]) > 0
        for name in pictures:
            Image.open(io.BytesIO(sample[name])).verify()
        assert sample["mp4"][4:8] == b"ftyp"


def test_what_was_asked_and_what_came_of_it_is_recorded(out: Path) -> None:
    record = json.loads((out / "run.json").read_text())
    assert (record["command"], record["status"]) == ("run", "finished")
    assert record["config"]["observe"]["samples_per_second"] == 1.0
    assert set(record["models"]) == {"faces", "head_pose", "body_pose", "identity", "expression"}
    assert record["totals"]["videos"] == 3
    assert record["totals"]["characters"] == len(tables(out)["characters"])
    assert record["stages"]["observe"]["wall_seconds"] > 0
    hashes = {row["stage"]: row["config_hash"] for row in tables(out)["units"]}
    assert {stage: record["provenance"][stage]["config_hash"] for stage in ("observe", "select")} == {stage: hashes[stage] for stage in ("observe", "select")}


def test_the_report_shows_every_character(out: Path) -> None:
    sheets = {path.stem for path in (out / "report" / "characters").glob("*.png")}
    assert sheets == {row["character_id"] for row in tables(out)["characters"]}
    assert (out / "report" / "index.html").stat().st_size > 10_000


def test_the_shards_pass_their_check_and_a_damaged_one_does_not(again: Path) -> None:
    run("pack", "--out", again, "--check", *LOCAL)
    shard = next((again / "shards").glob("*.tar"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    run("pack", "--out", again, "--check", *LOCAL, code=1)


def test_a_second_run_does_nothing_and_says_so(again: Path, videos: Path) -> None:
    before = states(again)
    said = run("run", "--videos", videos, videos / "missing.mp4", "--out", again, *SMALL, *LOCAL)
    assert "nothing new was done: 2 failed" in said
    after = states(again)
    assert after.keys() == before.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert {name.split("/")[0] for name in changed} == {"run.json", "failures"}  # what failed was tried once more


def test_one_video_added_is_the_only_one_done(again: Path, videos: Path, tmp_path: Path) -> None:
    added = write_video(tmp_path / "added.mp4", frames=40).path
    before = states(again)
    run("run", "--videos", videos, added, "--out", again, *SMALL, *LOCAL)
    after = states(again)
    (video_id,) = {row["video_id"] for row in of(again, "units", "added")}
    appeared = {name for name in after if name not in before}
    assert appeared
    assert all(video_id in name for name in appeared)
    changed = {name for name in after if name in before and after[name] != before[name]}
    assert {name.split("/")[0] for name in changed} <= {"run.json", "failures", "report"}
    assert not any(name.startswith("report/characters") for name in changed)


@pytest.fixture(scope="module")
def killed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left by a run on two workers that is killed after its first unit, and started again."""
    folder = tmp_path_factory.mktemp("killed") / "out"
    arguments = ["run", "--videos", videos, videos / "missing.mp4", "--out", folder, *SMALL, "--engine.engine", "ray", "--engine.workers", "2"]
    with subprocess.Popen(command(*arguments), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(folder.glob("units/observe-*.parquet")):
            assert process.poll() is None
            assert time.monotonic() < deadline, "no unit was done"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not list(folder.glob("shards/index.parquet"))
    assert (folder / ".lease.json").exists()
    run(*arguments)
    return folder


def test_a_killed_job_started_again_on_other_workers_ends_with_the_same(out: Path, killed: Path) -> None:
    assert names(killed) == names(out)
    expected, found = tables(out), tables(killed)
    for table, rows in expected.items():
        assert found[table] == rows, table
    assert shard_hashes(killed) == shard_hashes(out)


def test_a_run_on_workers_is_alone_on_its_output_and_says_so_when_it_is_asked_to_stop(videos: Path, tmp_path: Path) -> None:
    arguments = ["observe", "--videos", videos / "cry_to_laugh.mp4", "--out", tmp_path / "out", *OBSERVE]
    started = command(*arguments, "--engine.engine", "ray", "--engine.workers", "1")
    with subprocess.Popen(started, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while not list((tmp_path / "out").glob("units/*.parquet")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)  # so that it does not end before the other one has looked
        before = (tmp_path / "out" / "run.json").read_bytes()
        assert f"is being written by another job: observe, process {process.pid}" in run("select", "--out", tmp_path / "out", *LOCAL, code=1)
        assert (tmp_path / "out" / "run.json").read_bytes() == before
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "what is finished is kept" in said
    assert "Traceback" not in said
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "stopped"
    assert not (tmp_path / "out" / ".lease.json").exists()


def test_inputs_that_all_fail_end_with_1(tmp_path: Path) -> None:
    said = run("run", "--videos", tmp_path / "missing.mp4", "--out", tmp_path / "out", *LOCAL, code=1)
    assert "nothing could be done" in said
