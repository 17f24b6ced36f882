"""The pack stage: accepted clips to shards.

Two steps, so that the shards never depend on which worker was faster. First every clip that no shard holds yet is made into a sample, in
parallel, and staged as a file of its own; an interrupted job finds those again. Then the shards are planned from what is there, copied
together, and the index is written.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass

import pyarrow as pa

from jobs import ledger, parts
from jobs.engine import Stateless, run_units
from jobs.failure_log import FailureLog
from jobs.pack_check import check, finished_videos
from jobs.stage import Job, StageSummary
from pipeline import storage
from pipeline.failures import InputError
from pipeline.pack import shards as shard_files
from pipeline.pack.clips import pack_clips
from pipeline.pack.options import PackOptions
from pipeline.pack.shards import Piece, Row, ShardPlan
from pipeline.pack.tasks import ANCHOR_COLUMNS, CLIP_COLUMNS, PackTask, chunks, packable_rows, plan_tasks
from schemas.table import TableVersionError
from schemas.tables import ANCHORS, CLIPS, VIDEOS
from schemas.vocabulary import FailureKind, Stage

__all__ = ["PackUnit", "PackWork", "ShardWork", "check", "pack"]

CRASHES = {FailureKind.WORKER_DIED, FailureKind.TIMED_OUT, FailureKind.OUT_OF_MEMORY}
"""What one clip can do to a worker, and with it to the other clips of its unit."""

READ_AHEAD = parts.READERS
"""Videos whose accepted rows are held in memory, as arrow, while it is planned what to pack."""

WAITING = "clips waiting for a judge"
"""What the summary counts clips under that are not packed before one of their character's anchors is judged."""


@dataclass(frozen=True, slots=True)
class PackUnit:
    """Some clips of one video, near to one another."""

    uri: str
    video_id: str
    tasks: tuple[PackTask, ...]

    def __str__(self) -> str:
        return f"{len(self.tasks)} clips of {self.uri} from {self.tasks[0].key} on"


@dataclass(frozen=True)
class PackWork(Stateless):
    """Makes samples and stages them."""

    shards: str
    options: PackOptions
    name: str = "pack"

    def __call__(self, unit: PackUnit) -> list[tuple[str, Piece | InputError]]:
        """Key and staged sample, or the error, of every clip; those staged before are found again."""
        found = {task.key: shard_files.find_staged(self.shards, task.key, task.sample_hash) for task in unit.tasks}
        results: list[tuple[str, Piece | InputError]] = [(key, piece) for key, piece in found.items() if piece]
        missing = [task for task in unit.tasks if found[task.key] is None]
        if missing:
            made = pack_clips(unit.uri, missing, self.options)
            results += [(task.key, sample if isinstance(sample, InputError) else shard_files.stage(self.shards, sample)) for task, sample in made]
        return results


@dataclass(frozen=True)
class ShardWork(Stateless):
    """Copies shards together."""

    shards: str
    name: str = "shards"

    def __call__(self, unit: ShardPlan) -> int:
        """Write a shard; its size in bytes."""
        return shard_files.write_shard(self.shards, unit)


def pack(job: Job, options: PackOptions) -> StageSummary:
    """Bring the shards below an output root in line with its tables.

    Reads ``videos``, ``clips`` and ``anchors`` of every video that select has finished; writes ``shards/``, and a row in ``failures`` for
    each clip that cannot be packed (its source is the clip_id). When the shards are in line already, nothing is written. Clips whose
    anchors all are pending wait, unless the options let pending anchors in; that is said.

    Returns:
        ``done`` clips were packed, ``skipped`` ones were in shards already, ``failed`` ones have a row in failures; counts of shards
        written, kept and removed, of bytes written and of clips that wait; seconds by step.

    Raises:
        InputError: the storage failed while shards were put together; what was staged is used by the next run.
        SetupError: no worker could be started.
    """
    started = time.monotonic()
    shards = storage.join(job.out, shard_files.FOLDER)
    summary = StageSummary(Stage.PACK)
    present, intact = _present(shards)
    wanted, missing, waiting = _wanted(job.out, options, present)
    summary.counts[WAITING] = waiting
    if waiting:
        job.progress.say(_waiting_note(waiting))
    log = FailureLog(job.out, Stage.PACK, ledger.config_hash(Stage.PACK, asdict(options)))
    log.clear_where(lambda source, _: source not in wanted)
    pieces = _stage_missing(job, shards, options, missing, log, summary)
    first = shard_files.next_number(shards)
    rows = _update_shards(job, shards, options, present, wanted, pieces, first, summary)
    if not intact or rows != present:
        shard_files.write_shard_index(shards, rows, first + summary.counts["shards written"])
    summary.counts["shards removed"] = shard_files.tidy(shards, {row["shard"] for row in rows})
    summary.skipped = len(wanted) - summary.done - summary.failed
    summary.wall_seconds = time.monotonic() - started
    return summary


def _waiting_note(waiting: int) -> str:
    clips = "1 clip waits" if waiting == 1 else f"{waiting} clips wait"
    return f"{clips} for judged anchors: refine asks a judge about them, --pack.include-pending packs them as they are"


def _packable(out: str, video_id: str, options: PackOptions) -> tuple[pa.Table, pa.Table]:
    """A video's accepted clips and, when there are some, its anchors that may be packed."""
    clips = packable_rows(parts.read_part(out, CLIPS, video_id, CLIP_COLUMNS))
    if not len(clips):
        return clips, ANCHORS.empty()
    return clips, packable_rows(parts.read_part(out, ANCHORS, video_id, ANCHOR_COLUMNS), options.include_pending)


def _present(shards: str) -> tuple[list[Row], bool]:
    """The index's rows of the shards that are there in full, and whether that is all it has. Shards of another release's index are packed anew."""
    try:
        rows = shard_files.read_shard_index(shards)
    except TableVersionError:
        return [], False
    whole = {shard for shard, size in shard_files.shard_sizes(rows).items() if _size(storage.join(shards, shard)) == size}
    present = [row for row in rows if row["shard"] in whole]
    return present, len(present) == len(rows) and storage.exists(storage.join(shards, shard_files.INDEX))


def _size(uri: str) -> int | None:
    return storage.size(uri) if storage.exists(uri) else None


@dataclass(frozen=True, slots=True)
class _Missing:
    """The clips of a video that no shard holds, and their seconds."""

    video_id: str
    keys: frozenset[str]
    seconds: float


def _wanted(out: str, options: PackOptions, present: Sequence[Row]) -> tuple[dict[str, str], list[_Missing], int]:
    """The sample_hash of every clip that belongs into shards, what has to be made, and how many clips wait.

    Rows of anchors are not kept: they would be many.
    """
    packed = {(row["key"], row["sample_hash"]) for row in present}
    wanted: dict[str, str] = {}
    missing, waiting = [], 0
    for video_id, clips, tasks in _planned(out, finished_videos(out), options):
        waiting += clips - len(tasks)
        wanted |= {task.key: task.sample_hash for task in tasks}
        absent = [task for task in tasks if (task.key, task.sample_hash) not in packed]
        if absent:
            missing.append(_Missing(video_id, frozenset(task.key for task in absent), sum(_seconds(task) for task in absent)))
    return wanted, missing, waiting


def _planned(out: str, video_ids: Sequence[str], options: PackOptions) -> Iterator[tuple[str, int, list[PackTask]]]:
    """Each video, the number of its accepted clips, and the tasks of those that need not wait.

    Some videos are read ahead: on object stores most of the time is waiting.
    """
    with ThreadPoolExecutor(parts.READERS) as pool:
        ahead: deque[Future[tuple[pa.Table, pa.Table]]] = deque()
        for position, video_id in enumerate(video_ids):
            ahead += [pool.submit(_packable, out, later, options) for later in video_ids[position + len(ahead) : position + READ_AHEAD]]
            clips, anchors = ahead.popleft().result()
            yield video_id, len(clips), plan_tasks(clips, anchors, options)


def _seconds(task: PackTask) -> float:
    return float(task.clip["end_ns"] - task.clip["start_ns"]) / 1e9


def _units(out: str, options: PackOptions, missing: Sequence[_Missing]) -> Iterator[PackUnit]:
    for video in missing:
        uri = parts.read_part(out, VIDEOS, video.video_id, ["uri"])["uri"][0].as_py()
        tasks = [task for task in plan_tasks(*_packable(out, video.video_id, options), options) if task.key in video.keys]
        for chunk in chunks(tasks, options.chunk_seconds):
            yield PackUnit(uri, video.video_id, chunk)


def _stage_missing(job: Job, shards: str, options: PackOptions, missing: Sequence[_Missing], log: FailureLog, summary: StageSummary) -> list[Piece]:
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


def _update_shards(
    job: Job, shards: str, options: PackOptions, present: Sequence[Row], wanted: dict[str, str], pieces: Sequence[Piece], first: int, summary: StageSummary
) -> list[Row]:
    """Keep the shards without a stale sample; put what is new, and what is still wanted of the others, into new ones.

    Args:
        job, shards, options: see pack.
        present: the index's rows of the shards that are there.
        wanted: sample_hash of every clip that belongs into shards.
        pieces: what is new.
        first: number of the first new shard.
        summary: what was done is counted there.

    Returns:
        The new index's rows.
    """
    started = time.monotonic()
    stale = {row["shard"] for row in present if wanted.get(row["key"]) != row["sample_hash"]}
    kept = [row for row in present if row["shard"] not in stale]
    rescued = [Piece(row, storage.join(shards, row["shard"])) for row in present if row["shard"] in stale and wanted.get(row["key"]) == row["sample_hash"]]
    plans, rows = shard_files.fill([*pieces, *rescued], first, options.shard_bytes, options.seed)
    for outcome in run_units(ShardWork(shards), plans, job.engine):
        if outcome.error is not None:
            raise outcome.error
        summary.counts["shard bytes written"] += outcome.result or 0
    summary.counts["samples"] = len(kept) + len(rows)
    summary.counts["shards written"] = len(plans)
    summary.counts["shards kept"] = len({row["shard"] for row in kept})
    summary.seconds["shards"] = time.monotonic() - started
    return kept + rows
