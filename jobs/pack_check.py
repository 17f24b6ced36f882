"""``pack --check``: reads every shard below an output root back and says what is wrong."""

from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs import ledger, parts
from jobs.engine import Stateless, run_units
from jobs.stage import Job
from pipeline import storage
from pipeline.pack.check import check_coverage, check_files, check_shard
from pipeline.pack.shards import FOLDER, INDEX, Row, index_notes, read_shard_index
from pipeline.pack.tasks import packable_rows, waiting_clips
from schemas.sample import INDEX_METADATA
from schemas.tables import ANCHORS, CLIPS, FAILURES
from schemas.vocabulary import Stage


@dataclass(frozen=True)
class CheckWork(Stateless):
    """Reads shards back."""

    shards: str
    latents_key: bytes | None = None
    name: str = "check"

    def __call__(self, unit: tuple[str, list[Row]]) -> list[str]:
        """What is wrong with a shard, given its name and its rows of the index."""
        return check_shard(self.shards, *unit, self.latents_key)


def check(job: Job) -> list[str]:
    """Read everything in the shards back; a line for each thing that is wrong, none when all is well, which is said.

    Every member is read by the byte range that the index gives and compared with what the tar holds; the metadata is parsed; video, audio
    and pictures are decoded and counted; index, shards and the clips table must know the same samples. Clips that wait for judged anchors
    may be packed, with pending ones, or not. Shards that ``encode`` wrote are checked likewise, but for the clips table, which is not there.
    """
    shards = storage.join(job.out, FOLDER)
    if not storage.exists(storage.join(shards, INDEX)):
        return [f"{shards} has no {INDEX}: run pack"]
    try:
        rows = read_shard_index(shards)
    except ValueError as error:
        return [str(error)]
    by_shard: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_shard[row["shard"]].append(row)
    latents_key = index_notes(shards).get(INDEX_METADATA)
    problems, waiting = check_files(shards, rows), set[str]()
    if latents_key is None:
        failed = parts.read_parts(job.out, FAILURES, columns=["source"])["source"].to_pylist()
        clips = _accepted(job.out)
        waiting = _waiting(job.out, clips, {*failed, *(row["key"] for row in rows)})
        problems += check_coverage(rows, clips["clip_id"].to_pylist(), {*failed, *waiting})
    with job.progress.stage("check", len(by_shard)) as progress:
        for outcome in run_units(CheckWork(shards, latents_key), sorted(by_shard.items()), job.engine):
            problems += outcome.result if outcome.result is not None else [f"{outcome.unit[0]}: {outcome.error}"]
            progress.advance(failed=bool(outcome.error or outcome.result))
    if not problems:
        also = f"; without {_plural(len(waiting), 'clip')} whose anchors no judge has seen" if waiting else ""
        job.progress.say(f"{_plural(len(rows), 'sample')} in {_plural(len(by_shard), 'shard')}: all right{also}")
    return sorted(problems)


def finished_videos(out: str) -> list[str]:
    """The videos that select has finished: only their clips are packed."""
    return sorted({unit.video_id for unit in ledger.load(out, Stage.SELECT).values()})


def _accepted(out: str) -> pa.Table:
    columns = ["clip_id", "video_id", "character_id", "status", "anchors_inside", "anchors_outside"]
    return packable_rows(parts.read_parts(out, CLIPS, finished_videos(out), columns))


def _waiting(out: str, clips: pa.Table, known: Set[str]) -> set[str]:
    """Those of the accepted clips that wait for judged anchors, among the ones nothing is known of: only their videos' anchors are read."""
    unknown = clips.filter(pc.invert(pc.is_in(clips["clip_id"], pa.array(sorted(known), pa.string()))))
    waiting: set[str] = set()
    for video_id in sorted(set(unknown["video_id"].to_pylist())):
        waiting |= waiting_clips(unknown.filter(pc.equal(unknown["video_id"], video_id)), parts.read_part(out, ANCHORS, video_id, ["character_id", "status"]))
    return waiting


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
