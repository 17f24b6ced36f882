"""An input that fails has one row, with the number of tries; one that succeeds has none."""

from pathlib import Path

from jobs import parts
from jobs.failure_log import FailureLog, versions
from pipeline.failures import InputError
from schemas.tables import FAILURES
from schemas.vocabulary import FailureKind, Stage

ERROR = InputError(FailureKind.DAMAGED, "a.mp4 ends early: fetch it again")


def rows(out: Path) -> list[tuple[str, str, str, int]]:
    table = parts.read_parts(str(out), FAILURES).to_pylist()
    return sorted((row["source"], row["stage"], row["kind"], row["attempt"]) for row in table)


def test_attempts_add_up_over_runs(tmp_path: Path) -> None:
    FailureLog(str(tmp_path), Stage.OBSERVE, "c0").record("a.mp4", ERROR, attempts=1, video_id="00aa")
    FailureLog(str(tmp_path), Stage.OBSERVE, "c0").record("a.mp4", ERROR, attempts=3, video_id="00aa")
    FailureLog(str(tmp_path), Stage.PLAN).record("a.mp4", InputError(FailureKind.NOT_FOUND, "gone"))
    assert rows(tmp_path) == [("a.mp4", "observe", "damaged", 4), ("a.mp4", "plan", "not_found", 1)]


def test_a_row_says_what_with_which_versions_and_when(tmp_path: Path) -> None:
    FailureLog(str(tmp_path), Stage.OBSERVE, "c0").record("a.mp4#2", ERROR, video_id="00aa")
    (row,) = parts.read_parts(str(tmp_path), FAILURES).to_pylist(maps_as_pydicts="strict")
    assert (row["message"], row["video_id"], row["config_hash"], row["versions"]) == (str(ERROR), "00aa", "c0", versions())
    assert row["versions"]["pyarrow"]
    assert row["failed_at"].tzinfo is not None


def test_success_clears_the_row_of_its_stage_only(tmp_path: Path) -> None:
    for stage in (Stage.OBSERVE, Stage.SELECT):
        FailureLog(str(tmp_path), stage).record("a.mp4", ERROR)
    log = FailureLog(str(tmp_path), Stage.OBSERVE)
    log.clear("b.mp4")
    assert len(log) == 1
    log.clear("a.mp4")
    assert len(log) == 0
    assert rows(tmp_path) == [("a.mp4", "select", "damaged", 1)]


def test_rows_that_stand_for_nothing_any_more_are_cleared(tmp_path: Path) -> None:
    log = FailureLog(str(tmp_path), Stage.OBSERVE)
    for source, video_id in (("a.mp4#0", "00aa"), ("a.mp4#7", "00aa"), ("b.mp4#7", "00bb")):
        log.record(source, ERROR, video_id=video_id)
    log.clear_where(lambda source, video_id: video_id == "00aa" and source != "a.mp4#0")
    assert [row[0] for row in rows(tmp_path)] == ["a.mp4#0", "b.mp4#7"]
