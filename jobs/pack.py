"""The pack stage: accepted clips to shards, and the check that reads every shard back.

Two steps, so that the shards never depend on which worker was faster. First every clip that no shard holds yet is made into a sample, in
parallel, and staged as a file of its own; an interrupted job finds those again. Then the shards are planned from what is there, copied
together, and the index is written.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs import ledger, parts
from jobs.engine import run_units
from jobs.failure_log import FailureLog
from jobs.stage import Job, StageSummary
from pipeline import storage
from pipeline.failures import InputError
from pipeline.pack import shards as layout
from pipeline.pack.check import check_coverage, check_files, check_shard
from pipeline.pack.clips import pack_clips
from pipeline.pack.options import PackOptions
from pipeline.pack.shards import Piece, Row, ShardPlan
from pipeline.pack.tasks import ANCHOR_COLUMNS, CLIP_COLUMNS, PackTask, chunks, plan_tasks
from schemas.tables import ANCHORS, CLIPS, FAILURES, VIDEOS, TableVersionError
from schemas.vocabulary import FailureKind, Stage, Status

CRASHES = {FailureKind.WORKER_DIED, FailureKind.TIMED_OUT, FailureKind.OUT_OF_MEMORY}
"""What one clip can do to a worker, and with it to the other clips of its unit."""


@dataclass(frozen=True, slots=True)
class PackUnit:
    """Some clips of one video, near to one another."""

    uri: str
    video_id: str
    tasks: tuple[PackTask, ...]


class PackWork:
    """Makes samples and stages them."""

    name = "pack"

    def __init__(self, shards: str, options: PackOptions) -> None:
        self._shards, self._options = shards, options

    def setup(self) -> None:
        """Nothing to load."""

    def __call__(self, unit: PackUnit) -> list[tuple[str, Piece | InputError]]:
        """Key and staged sample, or the error, of every clip; those staged before are found again."""
        found = {task.key: layout.find_staged(self._shards, task.key, task.sample_hash) for task in unit.tasks}
        results: list[tuple[str, Piece | InputError]] = [(key, piece) for key, piece in found.items() if piece]
        missing = [task for task in unit.tasks if found[task.key] is None]
        if missing:
            made = pack_clips(unit.uri, missing, self._options)
            results += [(task.key, sample if isinstance(sample, InputError) else layout.stage(self._shards, sample)) for task, sample in made]
        return results

    def close(self) -> None:
        """Nothing to release."""


class ShardWork:
    """Copies shards together."""

    name = "shards"

    def __init__(self, shards: str) -> None:
        self._shards = shards

    def setup(self) -> None:
        """Nothing to load."""

    def __call__(self, plan: ShardPlan) -> int:
        """Write a shard; its size in bytes."""
        return layout.write_shard(self._shards, plan)

    def close(self) -> None:
        """Nothing to release."""


class CheckWork:
    """Reads shards back."""

    name = "check"

    def __init__(self, shards: str) -> None:
        self._shards = shards

    def setup(self) -> None:
        """Nothing to load."""

    def __call__(self, unit: tuple[str, list[Row]]) -> list[str]:
        """What is wrong with a shard, given its name and its rows of the index."""
        return check_shard(self._shards, *unit)

    def close(self) -> None:
        """Nothing to release."""


def pack(job: Job, options: PackOptions) -> StageSummary:
    """Bring the shards below an output root in line with its tables.

    Reads ``videos``, ``clips`` and ``anchors`` of every video that select has finished; writes ``shards/``, and a row in ``failures`` for
    each clip that cannot be packed (its source is the clip_id). When the shards are in line already, nothing is written.

    Returns:
        ``done`` clips were packed, ``skipped`` ones were in shards already, ``failed`` ones have a row in failures; counts of shards
        written, kept and removed, and of bytes written; seconds by step.

    Raises:
        InputError: the storage failed while shards were put together; what was staged is used by the next run.
        SetupError: no worker could be started.
    """
    started = time.monotonic()
    shards = storage.join(job.out, layout.FOLDER)
    summary = StageSummary(Stage.PACK)
    present = _present(shards)
    wanted, missing = _wanted(job.out, options, present)
    log = FailureLog(job.out, Stage.PACK, ledger.config_hash(Stage.PACK, asdict(options)))
    log.clear_where(lambda source, _: source not in wanted)
    pieces = _stage_missing(job, shards, options, missing, wanted, log, summary)
    _update_shards(job, shards, options, present, wanted, pieces, summary)
    summary.skipped = len(wanted) - summary.done - summary.failed
    summary.wall_seconds = time.monotonic() - started
    return summary


def check(job: Job) -> list[str]:
    """Read everything in the shards back; a line for each thing that is wrong, none when all is well.

    Every sample is read by the byte range that the index gives and compared with what the tar holds; its metadata is parsed, its video,
    audio and pictures are decoded and counted; index, shards and the clips table must know the same samples.
    """
    shards = storage.join(job.out, layout.FOLDER)
    try:
        rows = layout.read_shard_index(shards)
    except ValueError as error:
        return [str(error)]
    by_shard: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_shard[row["shard"]].append(row)
    problems = check_files(shards, rows)
    problems += check_coverage(rows, _accepted(job.out), set(parts.read_parts(job.out, FAILURES, columns=["source"])["source"].to_pylist()))
    with job.progress.stage("check", len(by_shard)) as progress:
        for outcome in run_units(CheckWork(shards), sorted(by_shard.items()), job.engine):
            problems += outcome.result if outcome.result is not None else [f"{outcome.unit[0]}: {outcome.error}"]
            progress.advance(failed=bool(outcome.error or outcome.result))
    return sorted(problems)


def _accepted(out: str) -> set[str]:
    clips = parts.read_parts(out, CLIPS, _video_ids(out), ["clip_id", "status"]).to_pylist()
    return {clip["clip_id"] for clip in clips if clip["status"] == Status.ACCEPTED}


def _video_ids(out: str) -> list[str]:
    """The videos that select has finished."""
    return sorted({unit.video_id for unit in ledger.load(out, Stage.SELECT).values()})


def _tasks(out: str, video_id: str, options: PackOptions) -> list[PackTask]:
    clips = parts.read_part(out, CLIPS, video_id, CLIP_COLUMNS).to_pylist()
    if not any(clip["status"] == Status.ACCEPTED for clip in clips):
        return []
    return plan_tasks(clips, parts.read_part(out, ANCHORS, video_id, ANCHOR_COLUMNS).to_pylist(), options)


def _present(shards: str) -> list[Row]:
    """The index's rows of the shards that are there in full. Shards of another release's index are packed anew."""
    try:
        rows = layout.read_shard_index(shards)
    except TableVersionError:
        storage.remove(storage.join(shards, layout.INDEX))
        return []
    whole = {shard for shard, size in layout.shard_sizes(rows).items() if _size(storage.join(shards, shard)) == size}
    return [row for row in rows if row["shard"] in whole]


def _size(uri: str) -> int | None:
    return storage.size(uri) if storage.exists(uri) else None


@dataclass(frozen=True, slots=True)
class _Missing:
    """The clips of a video that no shard holds, and their seconds."""

    video_id: str
    keys: frozenset[str]
    seconds: float


def _wanted(out: str, options: PackOptions, present: Sequence[Row]) -> tuple[dict[str, str], list[_Missing]]:
    """The sample_hash of every clip that belongs into shards, and what has to be made. Rows of anchors are not kept: they would be many."""
    packed = {(row["key"], row["sample_hash"]) for row in present}
    wanted: dict[str, str] = {}
    missing = []
    for video_id in _video_ids(out):
        tasks = _tasks(out, video_id, options)
        wanted |= {task.key: task.sample_hash for task in tasks}
        absent = [task for task in tasks if (task.key, task.sample_hash) not in packed]
        if absent:
            missing.append(_Missing(video_id, frozenset(task.key for task in absent), sum(_seconds(task) for task in absent)))
    return wanted, missing


def _seconds(task: PackTask) -> float:
    return float(task.clip["end_ns"] - task.clip["start_ns"]) / 1e9


def _units(out: str, options: PackOptions, missing: Sequence[_Missing]) -> Iterator[PackUnit]:
    for video in missing:
        uri = parts.read_part(out, VIDEOS, video.video_id, ["uri"])["uri"][0].as_py()
        tasks = [task for task in _tasks(out, video.video_id, options) if task.key in video.keys]
        for chunk in chunks(tasks, options.chunk_seconds):
            yield PackUnit(uri, video.video_id, chunk)


def _stage_missing(
    job: Job, shards: str, options: PackOptions, missing: Sequence[_Missing], wanted: dict[str, str], log: FailureLog, summary: StageSummary
) -> list[Piece]:
    """Make what is missing. The clips of a unit in which workers died are tried again one by one, so that one of them does not cost the others."""
    started = time.monotonic()
    pieces: list[Piece] = []
    again: list[PackUnit] = []
    work = PackWork(shards, options)
    if not missing:
        return pieces
    with job.progress.stage(Stage.PACK, sum(len(video.keys) for video in missing), sum(video.seconds for video in missing)) as progress:
        for units in (_units(job.out, options, missing), again):
            for outcome in run_units(work, units, job.engine):
                unit, error = outcome.unit, outcome.error
                if error is not None and error.kind in CRASHES and len(unit.tasks) > 1:
                    again += [PackUnit(unit.uri, unit.video_id, (task,)) for task in unit.tasks]
                    continue
                results = dict(outcome.result or ())
                for task in unit.tasks:
                    result = results.get(task.key) or error or InputError(FailureKind.BUG, f"{task.key}: the worker forgot it")
                    if isinstance(result, Piece):
                        pieces.append(result)
                        log.clear(task.key)
                    else:
                        log.record(task.key, result, outcome.attempts, unit.video_id)
                        job.progress.say(f"pack failed: {task.key}: {result}")
                    progress.advance(_seconds(task), failed=isinstance(result, InputError))
    summary.done, summary.failed = len(pieces), sum(len(video.keys) for video in missing) - len(pieces)
    summary.media_seconds = sum(piece.row["frame_count"] / piece.row["frame_rate"] for piece in pieces)
    summary.seconds["encode"] = time.monotonic() - started
    return pieces
