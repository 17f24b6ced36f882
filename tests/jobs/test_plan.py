"""What is planned: every segment once, nothing that is done, and nothing stale left to vouch for."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from jobs import ledger, parts
from jobs.engine import EngineOptions
from jobs.inputs import find_inputs
from jobs.ledger import DoneUnit
from jobs.plan import SegmentUnit, plan_observe
from jobs.progress import Progress
from jobs.stage import Job
from pipeline.video.index import read_index
from schemas.tables import FAILURES, VIDEOS
from schemas.vocabulary import Stage
from tests.barcode import write_video

NEVER = 1e9


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("films") / "film.mp4", frames=100).path


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(str(tmp_path / "out"), EngineOptions(engine="local"), Progress(Console(file=io.StringIO())))


def plan(job: Job, *names: Path, seconds: float = NEVER, config: str = "c0") -> tuple[list[SegmentUnit], int]:
    units, skipped, _ = plan_observe(job, find_inputs([str(name) for name in names]), config, seconds)
    return units, skipped


def finish(job: Job, unit: SegmentUnit, config: str = "c0") -> None:
    """What the observe stage leaves of a unit, as far as planning looks at it."""
    parts.write_part(job.out, VIDEOS, unit.video_id, VIDEOS.from_rows([read_index(unit.uri).row()]))
    span = unit.segment
    ledger.commit(job.out, DoneUnit(Stage.OBSERVE, unit.video_id, span.number, span.start_ns, span.end_ns, config, unit.video_id, {"segments": unit.segments}))


def failures(job: Job) -> list[tuple[str, str, str]]:
    return [(row["source"], row["stage"], row["kind"]) for row in parts.read_parts(job.out, FAILURES).to_pylist()]


def test_a_video_is_cut_into_segments_that_cover_it(job: Job, film: Path) -> None:
    units, skipped = plan(job, film, seconds=0.9)
    index = read_index(str(film))
    assert skipped == 0
    assert len(units) > 2
    assert [unit.segment.number for unit in units] == list(range(len(units)))
    assert [unit.source for unit in units] == [f"{film}#{number}" for number in range(len(units))]
    assert sum(unit.media_seconds for unit in units) == pytest.approx((index.end_ns - index.start_ns) / 1e9)
    ((whole,), _) = plan(job, film)
    assert (whole.source, whole.segments) == (str(film), 1)


def test_what_is_done_is_skipped_and_what_is_missing_is_planned(job: Job, film: Path) -> None:
    units, _ = plan(job, film, seconds=0.9)
    for unit in units[:-1]:
        finish(job, unit)
    assert plan(job, film, seconds=0.9) == (units[-1:], len(units) - 1)
    finish(job, units[-1])
    assert plan(job, film, seconds=0.9) == ([], len(units))


def test_with_another_configuration_all_is_planned_again_and_nothing_stale_stays(job: Job, film: Path) -> None:
    units, _ = plan(job, film, seconds=0.9)
    for unit in units:
        finish(job, unit)
    ledger.commit(job.out, DoneUnit(Stage.SELECT, units[0].video_id, 0, 0, 1, "c0", "i0"))
    again, skipped = plan(job, film, config="c1")
    assert (len(again), skipped) == (1, 0)
    assert list(ledger.load(job.out, Stage.OBSERVE)) == [ledger.unit_id(Stage.OBSERVE, units[0].video_id, 0)]
    assert ledger.load(job.out, Stage.SELECT) == {}


def test_inputs_that_cannot_be_read_are_failures_until_they_can(job: Job, film: Path, tmp_path: Path) -> None:
    text, late = tmp_path / "text.mp4", tmp_path / "late.mp4"
    text.write_text("this is not a video")
    units, _ = plan(job, film, text, late)
    assert [unit.uri for unit in units] == [str(film)]
    assert set(failures(job)) == {(str(text), "plan", "not_a_video"), (str(late), "plan", "not_found")}
    write_video(late, frames=20)
    units, _ = plan(job, film, text, late)
    assert {unit.uri for unit in units} == {str(film), str(late)}
    assert failures(job) == [(str(text), "plan", "not_a_video")]


def test_a_video_that_was_moved_is_read_from_its_new_place(job: Job, film: Path, tmp_path: Path) -> None:
    ((unit,), _) = plan(job, film)
    finish(job, unit)
    moved = tmp_path / "moved.mp4"
    shutil.copy(film, moved)
    assert plan(job, film, moved) == ([], 1)
    assert parts.read_part(job.out, VIDEOS, unit.video_id)["uri"].to_pylist() == [str(film)]
    before = parts.read_part(job.out, VIDEOS, unit.video_id).drop_columns("uri")
    assert plan(job, moved) == ([], 1)
    after = parts.read_part(job.out, VIDEOS, unit.video_id)
    assert after["uri"].to_pylist() == [str(moved)]
    assert after.drop_columns("uri") == before


def test_a_segment_of_another_configuration_is_planned_beside_those_that_are_done(job: Job, film: Path) -> None:
    units, _ = plan(job, film, seconds=0.9)
    finish(job, units[0])
    for unit in units[1:]:
        finish(job, replace(unit), config="older")
    planned, skipped = plan(job, film, seconds=0.9)
    assert (planned, skipped) == (units[1:], 1)
