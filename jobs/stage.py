"""What the stages have in common: their units run on the engine, what fails becomes a row, what is done is added up."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from jobs.engine import EngineOptions, Work, run_units, starts_cluster
from jobs.failure_log import FailureLog
from jobs.progress import Progress
from schemas.vocabulary import Stage


class Unit(Protocol):
    """A unit of a stage."""

    @property
    def source(self) -> str:
        """What the failures table calls it."""

    @property
    def video_id(self) -> str:
        """The video it belongs to."""

    @property
    def media_seconds(self) -> float:
        """Seconds of video in it, for the progress display."""


@dataclass(frozen=True)
class UnitResult:
    """What a unit of a stage gives back: how many of what, wall-clock seconds by step, models by role (where it has some)."""

    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)


FEW = 200
"""Light units that are done sooner in this process than a cluster of its own starts, which takes some ten seconds."""

UnitOf = TypeVar("UnitOf", bound=Unit)
ResultOf = TypeVar("ResultOf", bound=UnitResult)


@dataclass(frozen=True)
class Job:
    """What every stage is given.

    Attributes:
        out: the output root.
        engine: where units run.
        progress: where people look.
    """

    out: str
    engine: EngineOptions
    progress: Progress


@dataclass
class StageSummary:
    """What a stage did in this run.

    Attributes:
        stage: which.
        done: units that were done.
        skipped: units that had been done before.
        failed: units that failed.
        media_seconds: seconds of video in the units that were done.
        wall_seconds: from begin to end.
        counts: how many of what, added up over the units done.
        seconds: wall-clock seconds by step, added up over the units done.
        models: models by role.
        config_hash: the one in the ledger's rows of the stage, where it has some.
    """

    stage: Stage
    done: int = 0
    skipped: int = 0
    failed: int = 0
    media_seconds: float = 0.0
    wall_seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    config_hash: str = ""

    def add(self, result: UnitResult) -> None:
        """Count a unit that was done."""
        self.done += 1
        self.counts.update(result.counts)
        for step, seconds in result.seconds.items():
            self.seconds[step] = self.seconds.get(step, 0.0) + seconds
        self.models |= result.models


def run_stage(
    job: Job,
    stage: Stage,
    work: Work[UnitOf, ResultOf],
    units: Sequence[UnitOf],
    log: FailureLog,
    on_result: Callable[[ResultOf], object] = lambda _: None,
    on_failure: Callable[[UnitOf], object] = lambda _: None,
    light: bool = False,
) -> StageSummary:
    """Do a stage's units.

    Args:
        job: where.
        stage: which.
        work: what to do; the worker commits a unit's rows itself.
        units: all that are not done yet.
        log: gets a row for each unit that fails, and loses the row of each that succeeds.
        on_result: is given what each unit gave.
        on_failure: takes back what a failed unit may have written.
        light: units take a fraction of a second: up to FEW of them are done here, unless a cluster was asked for or is there.

    Raises:
        SetupError: the work cannot start.
    """
    summary = StageSummary(stage)
    if not units:
        return summary
    started = time.monotonic()
    engine = replace(job.engine, engine="local") if light and len(units) <= FEW and starts_cluster(job.engine) else job.engine
    with job.progress.stage(stage, len(units), sum(unit.media_seconds for unit in units)) as progress:
        for outcome in run_units(work, units, engine):
            unit = outcome.unit
            if outcome.result is not None:
                summary.add(outcome.result)
                on_result(outcome.result)
                summary.media_seconds += unit.media_seconds
                log.clear(unit.source)
            elif outcome.error is not None:
                on_failure(unit)
                log.record(unit.source, outcome.error, outcome.attempts, unit.video_id)
                summary.failed += 1
                job.progress.say(f"{stage} failed: {unit.source}: {outcome.error}")
            progress.advance(unit.media_seconds, failed=outcome.error is not None)
    summary.wall_seconds = time.monotonic() - started
    return summary
