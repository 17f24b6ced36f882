"""Select joins a video's segments, is done once per configuration and input, and takes back what no longer stands on anything."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs import ledger, parts, weights
from jobs.select import select
from pipeline.select.video import SelectOptions
from schemas.tables import ANCHORS, CHARACTERS, CLIPS, FAILURES, OBSERVATIONS, TRACKS
from schemas.vocabulary import Stage
from tests.jobs.drawn_root import quiet_job, two_people, write_film, write_observed
from tests.pipeline.drawn_observations import VIDEO

OPTIONS = SelectOptions()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film"))


@pytest.fixture
def out(tmp_path: Path, film: Path) -> Path:
    write_observed(tmp_path, film, two_people())
    return tmp_path


def written(out: Path) -> list[str]:
    return [table.name for table in (TRACKS, CHARACTERS, ANCHORS, CLIPS) if parts.part_names(str(out), table)]


def test_people_are_joined_across_segments(out: Path) -> None:
    summary = select(quiet_job(out), OPTIONS)
    assert (summary.done, summary.skipped, summary.failed) == (1, 0, 0)
    assert summary.counts["characters"] == 2
    characters = parts.read_part(str(out), CHARACTERS, VIDEO).to_pylist()
    assert sorted(row["tracks"] for row in characters) == [1, 2]
    assert written(out) == ["tracks", "characters", "anchors", "clips"]


def test_it_is_done_once_and_again_with_other_options_or_observations(out: Path, film: Path) -> None:
    job = quiet_job(out)
    select(job, OPTIONS)
    assert (select(job, OPTIONS).done, select(job, OPTIONS).skipped) == (0, 1)
    stricter = replace(OPTIONS, quality=replace(OPTIONS.quality, min_face_pixels=10_000.0, full_face_pixels=20_000.0))
    assert select(job, stricter).done == 1
    assert parts.read_part(str(out), ANCHORS, VIDEO, ["reason"])["reason"].to_pylist().count("face_too_small") > 0
    write_observed(out, film, two_people(), config="c1")
    assert select(job, stricter).done == 1


def test_it_is_done_again_with_another_calibration(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    select(quiet_job(out), OPTIONS)
    other = tmp_path / "calibration.json"
    other.write_bytes(weights.CALIBRATION.read_bytes() + b"\n")
    monkeypatch.setattr(weights, "CALIBRATION", other)
    assert select(quiet_job(out), OPTIONS).done == 1


def test_a_video_that_is_not_wholly_observed_waits(out: Path) -> None:
    job = quiet_job(out)
    select(job, OPTIONS)
    ledger.retract(str(out), Stage.OBSERVE, VIDEO, 1)
    assert select(job, OPTIONS).done == 0
    assert written(out) == []
    assert ledger.load(str(out), Stage.SELECT) == {}


def test_a_video_that_fails_has_a_row_in_failures_and_no_others(out: Path) -> None:
    job = quiet_job(out)
    select(job, OPTIONS)
    part = Path(parts.part_uri(str(out), OBSERVATIONS, parts.segment_part(VIDEO, 1)))
    whole = part.read_bytes()
    part.write_bytes(whole[:100])
    stricter = replace(OPTIONS, quality=replace(OPTIONS.quality, min_face_pixels=33.0))
    assert select(job, stricter).failed == 1
    assert written(out) == []
    (row,) = parts.read_parts(str(out), FAILURES).to_pylist()
    assert (row["stage"], row["video_id"]) == ("select", VIDEO)
    part.write_bytes(whole)
    assert select(job, stricter).done == 1
    assert parts.read_parts(str(out), FAILURES).num_rows == 0
