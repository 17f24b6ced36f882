"""Making samples on workers and staging them: the first of the two steps in which ``pack`` and ``encode`` come to their shards.

Each sample is a file of its own until all are there: an interrupted job finds them again, and the shards, which ``jobs.shard_update`` puts together
from them, never depend on which worker was faster.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from jobs.engine import Work, run_units
from jobs.failure_log import FailureLog
from jobs.stage import Job, StageSummary
from pipeline.failures import InputError
from pipeline.pack.shards import Piece
from schemas.vocabulary import FailureKind

CRASHES = {FailureKind.WORKER_DIED, FailureKind.TIMED_OUT, FailureKind.OUT_OF_MEMORY, FailureKind.BUG}
"""What one sample can do to a worker, and with it to the other samples of its unit."""

Staged = list[tuple[str, Piece | InputError]]
"""What the work gives back: key and staged sample, or the error, of every sample of a unit."""


@dataclass(frozen=True, slots=True)
class MissingSample:
    """A sample that is to be made.

    Attributes:
        key: of the sample.
        video_id: see videos.
        seconds: of its clip.
    """

    key: str
    video_id: str
    seconds: float


class StagingUnit(Protocol):
    """Samples that are made together."""

    @property
    def missing(self) -> Sequence[MissingSample]:
        """Which they are."""

    def apart(self) -> Sequence[Self]:
        """A unit for each."""


UnitOf = TypeVar("UnitOf", bound=StagingUnit)


def stage_samples(
    job: Job, work: Work[UnitOf, Staged], units: Iterable[UnitOf], count: int, seconds: float, log: FailureLog, summary: StageSummary
) -> list[Piece]:
    """Have samples made. Those of a unit in which workers died are tried again one by one, so that one of them does not cost the others.

    Args:
        job: where.
        work: what makes and stages the samples of a unit; an exception of its own is that of each.
        units: all that is to be done.
        count: of the samples in all units.
        seconds: of their clips.
        log: gets a row for each sample that fails, and loses the row of each that succeeds.
        summary: what was done is counted there.

    Returns:
        The staged samples, in the order of their completion.

    Raises:
        SetupError: the work cannot start.
    """
    started = time.monotonic()
    pieces: list[Piece] = []
    again: list[UnitOf] = []
    if not count:
        return pieces
    with job.progress.stage(summary.stage, count, seconds) as progress:
        for turn in (units, again):
            for outcome in run_units(work, turn, job.engine):
                unit, error = outcome.unit, outcome.error
                if error is not None and error.kind in CRASHES and len(unit.missing) > 1:
                    again.extend(unit.apart())
                    continue
                results = dict(outcome.result or ())
                for sample in unit.missing:
                    result = results.get(sample.key) or error or InputError(FailureKind.BUG, f"{sample.key}: the worker forgot it")
                    if isinstance(result, Piece):
                        pieces.append(result)
                        log.clear(sample.key)
                    else:
                        log.record(sample.key, result, outcome.attempts, sample.video_id)
                        job.progress.say(f"{summary.stage} failed: {sample.key}: {result}")
                    progress.advance(sample.seconds, failed=isinstance(result, InputError))
    summary.done, summary.failed = len(pieces), count - len(pieces)
    summary.media_seconds = sum(piece.row["frame_count"] / piece.row["frame_rate"] for piece in pieces)
    summary.seconds["samples"] = time.monotonic() - started
    return pieces
