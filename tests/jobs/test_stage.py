"""The loop that stages share: what is done is added up, what fails becomes a row, what succeeds loses its row."""

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from jobs import parts, stage
from jobs.engine import EngineOptions
from jobs.failure_log import FailureLog
from jobs.progress import Progress
from jobs.stage import Job, UnitResult, run_stage
from pipeline.failures import InputError
from schemas.tables import FAILURES
from schemas.vocabulary import FailureKind, Stage


@dataclass(frozen=True)
class Film:
    source: str
    video_id: str
    media_seconds: float = 10.0


@dataclass(frozen=True)
class Count:
    """Fails on the films it is told to."""

    damaged: tuple[str, ...] = ()
    name: str = "observe"
    units_at_once: int = 1

    def setup(self) -> None:
        pass

    def __call__(self, unit: Film) -> UnitResult:
        if unit.source in self.damaged:
            raise InputError(FailureKind.DAMAGED, f"{unit.source} ends early")
        return UnitResult({"faces": 3}, {"decode": 0.5}, {"faces": "yunet"})

    def close(self) -> None:
        pass


FILMS = [Film("a.mp4", "00aa"), Film("b.mp4", "00bb"), Film("c.mp4", "00cc")]


def test_done_and_failed_units_are_told_apart(tmp_path: Path) -> None:
    stream = io.StringIO()
    job = Job(str(tmp_path), EngineOptions(engine="local"), Progress(Console(file=stream)))
    log = FailureLog(job.out, Stage.OBSERVE)
    results: list[UnitResult] = []
    taken_back: list[Film] = []
    summary = run_stage(job, Stage.OBSERVE, Count(("b.mp4",)), FILMS, log, results.append, taken_back.append)
    assert (summary.done, summary.failed, summary.media_seconds) == (2, 1, 20.0)
    assert (summary.counts, summary.seconds, summary.models) == ({"faces": 6}, {"decode": 1.0}, {"faces": "yunet"})
    assert len(results) == 2
    assert taken_back == [FILMS[1]]
    assert [(row["source"], row["video_id"]) for row in parts.read_parts(job.out, FAILURES).to_pylist()] == [("b.mp4", "00bb")]
    assert "observe failed: b.mp4: b.mp4 ends early" in stream.getvalue()

    summary = run_stage(job, Stage.OBSERVE, Count(), FILMS[1:2], log)
    assert (summary.done, summary.failed) == (1, 0)
    assert parts.read_parts(job.out, FAILURES).num_rows == 0


def test_no_units_show_nothing(tmp_path: Path) -> None:
    stream = io.StringIO()
    job = Job(str(tmp_path), EngineOptions(engine="local"), Progress(Console(file=stream)))
    assert run_stage(job, Stage.OBSERVE, Count(), [], FailureLog(job.out, Stage.OBSERVE)).done == 0
    assert stream.getvalue() == ""


def test_light_units_start_no_cluster_unless_there_are_many_or_one_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []

    def remember(_work: object, _units: object, options: EngineOptions) -> list[object]:
        chosen.append(options.engine)
        return []

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(stage, "run_units", remember)
    for engine, units in ((EngineOptions(), stage.FEW), (EngineOptions(), stage.FEW + 1), (EngineOptions(engine="ray"), 2), (EngineOptions(address="auto"), 2)):
        job = Job(str(tmp_path), engine, Progress(Console(file=io.StringIO())))
        run_stage(job, Stage.SELECT, Count(), FILMS[:1] * units, FailureLog(job.out, Stage.SELECT), light=True)
    assert chosen == ["local", "auto", "ray", "auto"]
