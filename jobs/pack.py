"""The pack stage: accepted clips to shards.

Two steps, so that the shards never depend on which worker was faster. First every clip that no shard holds yet is made into a sample, in
parallel, and staged as a file of its own; an interrupted job finds those again (``jobs.staging``). Then the shards are planned from what is
there, copied together, and the index is written (``jobs.shard_update``).
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass

import pyarrow as pa

from jobs import ledger, parts
from jobs.engine import SetupError, Stateless
from jobs.failure_log import FailureLog
from jobs.pack_check import check, finished_videos
from jobs.shard_update import Filling, PresentShards, present_shards, update_shards
from jobs.stage import Job, StageSummary
from jobs.staging import MissingSample, Staged, stage_samples
from pipeline import storage
from pipeline.failures import InputError
from pipeline.pack import shards as shard_files
from pipeline.pack.clips import pack_clips
from pipeline.pack.options import PackOptions
from pipeline.pack.tasks import ANCHOR_COLUMNS, CLIP_COLUMNS, PackTask, chunks, packable_rows, plan_tasks
from schemas.sample import INDEX_METADATA
from schemas.tables import ANCHORS, CLIPS, VIDEOS
from schemas.vocabulary import Stage

__all__ = ["PackUnit", "PackWork", "check", "pack"]

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

    @property
    def missing(self) -> list[MissingSample]:
        """The samples that the clips become."""
        return [MissingSample(task.key, self.video_id, _seconds(task)) for task in self.tasks]

    def apart(self) -> list["PackUnit"]:
        """A unit for each clip."""
        return [PackUnit(self.uri, self.video_id, (task,)) for task in self.tasks]


@dataclass(frozen=True)
class PackWork(Stateless):
    """Makes samples and stages them."""

    shards: str
    options: PackOptions
    name: str = "pack"

    def __call__(self, unit: PackUnit) -> Staged:
        """Key and staged sample, or the error, of every clip; those staged before are found again."""
        found = {task.key: shard_files.find_staged(self.shards, task.key, task.sample_hash) for task in unit.tasks}
        results: Staged = [(key, piece) for key, piece in found.items() if piece]
        missing = [task for task in unit.tasks if found[task.key] is None]
        if missing:
            made = pack_clips(unit.uri, missing, self.options)
            results += [(task.key, sample if isinstance(sample, InputError) else shard_files.stage(self.shards, sample)) for task, sample in made]
        return results


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
        SetupError: no worker could be started, or the shards are those of ``encode``.
    """
    started = time.monotonic()
    shards = storage.join(job.out, shard_files.FOLDER)
    if INDEX_METADATA in shard_files.index_notes(shards):
        raise SetupError(f"{shards} holds what encode wrote, and no clips to pack: give the output root that the clips are in")
    summary = StageSummary(Stage.PACK)
    present = present_shards(shards)
    wanted, missing, waiting = _wanted(job.out, options, present)
    summary.counts[WAITING] = waiting
    if waiting:
        job.progress.say(_waiting_note(waiting))
    log = FailureLog(job.out, Stage.PACK, ledger.config_hash(Stage.PACK, asdict(options)))
    log.clear_where(lambda source, _: source not in wanted)
    count, seconds = sum(len(video.keys) for video in missing), sum(video.seconds for video in missing)
    pieces = stage_samples(job, PackWork(shards, options), _units(job.out, options, missing), count, seconds, log, summary)
    update_shards(job, shards, present, wanted, pieces, Filling(options.shard_bytes, options.seed), summary)
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


@dataclass(frozen=True, slots=True)
class _Missing:
    """The clips of a video that no shard holds, and their seconds."""

    video_id: str
    keys: frozenset[str]
    seconds: float


def _wanted(out: str, options: PackOptions, present: PresentShards) -> tuple[dict[str, str], list[_Missing], int]:
    """The sample_hash of every clip that belongs into shards, what has to be made, and how many clips wait.

    Rows of anchors are not kept: they would be many.
    """
    packed = present.samples()
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
