"""Which segments of which videos must be observed: what is named, less what is done, cut at keyframes."""

from collections.abc import Iterable
from dataclasses import dataclass

from jobs import ledger, parts
from jobs.engine import Stateless
from jobs.failure_log import FailureLog
from jobs.inputs import Inputs
from jobs.ledger import DoneUnit
from jobs.stage import Job, StageSummary, UnitResult, run_stage
from pipeline.video.index import read_index
from pipeline.video.segments import Segment, plan_segments
from schemas.tables import VIDEOS
from schemas.vocabulary import Stage

DOWNSTREAM = (Stage.REPORT, Stage.REFINE, Stage.SELECT)
"""Stages whose results are withdrawn, in this order, when a video is observed anew. (Packing decides by the hash of every sample.)"""


@dataclass(frozen=True)
class SegmentUnit:
    """A segment of a video that is to be observed."""

    uri: str
    video_id: str
    segment: Segment
    segments: int
    """how many the video has"""

    @property
    def source(self) -> str:
        """The video's URI, and which segment when there are several."""
        return self.uri if self.segments == 1 else f"{self.uri}#{self.segment.number}"

    @property
    def media_seconds(self) -> float:
        """Length of the segment."""
        return (self.segment.end_ns - self.segment.start_ns) / 1e9

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True)
class VideoUnit:
    """A video whose packets are to be read."""

    source: str
    video_id: str
    media_seconds: float = 0.0

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True)
class SegmentPlan(UnitResult):
    """The segments of a video."""

    segments: tuple[SegmentUnit, ...] = ()


@dataclass(frozen=True)
class PlanWork(Stateless):
    """Reads a video's index and cuts it into segments. The packets of a long file take a second, so workers do it."""

    segment_seconds: float
    name: str = "plan"

    def __call__(self, unit: VideoUnit) -> SegmentPlan:
        """The segments; raises VideoError."""
        segments = plan_segments(read_index(unit.source), self.segment_seconds)
        return SegmentPlan(segments=tuple(SegmentUnit(unit.source, unit.video_id, segment, len(segments)) for segment in segments))


def plan_observe(job: Job, inputs: Inputs, config_hash: str, segment_seconds: float) -> tuple[list[SegmentUnit], int, StageSummary]:
    """What is to be observed.

    Withdraws the rows of segments that are no more, and of the stages behind, of every video that is to be observed again.

    Args:
        job: where.
        inputs: the videos.
        config_hash: of the observe stage; what was done with another one is done again.
        segment_seconds: length of a segment.

    Returns:
        The units in the order of video and time, the number of units that are done already, and what planning did.
    """
    log = FailureLog(job.out, Stage.PLAN)
    for source, error in inputs.failures.items():
        log.record(source, error)
    for source in set(inputs.named) - set(inputs.failures):
        if source not in inputs.videos.values():
            log.clear(source)
    done = ledger.by_video(ledger.load(job.out, Stage.OBSERVE).values())
    finished = {video_id for video_id, units in done.items() if ledger.is_whole(units) and units[0].config_hash == config_hash}
    _follow_moved(job.out, inputs, finished)
    for video_id in finished & set(inputs.videos):
        log.clear(inputs.videos[video_id])
    videos = [VideoUnit(uri, video_id) for video_id, uri in inputs.videos.items() if video_id not in finished]
    planned: list[SegmentPlan] = []
    summary = run_stage(job, Stage.PLAN, PlanWork(segment_seconds), videos, log, on_result=planned.append, light=True)
    summary.failed += len(inputs.failures)
    skipped = sum(len(done[video_id]) for video_id in finished & set(inputs.videos))
    units: list[SegmentUnit] = []
    for plan in planned:
        known = done.get(plan.segments[0].video_id, [])
        _withdraw_stale(job.out, plan, known)
        kept = {unit.segment for unit in known if unit.config_hash == config_hash}
        units += [unit for unit in plan.segments if unit.segment.number not in kept]
        skipped += len(kept)
    return sorted(units, key=lambda unit: (unit.video_id, unit.segment.number)), skipped, summary


def _withdraw_stale(out: str, plan: SegmentPlan, known: Iterable[DoneUnit]) -> None:
    video_id, numbers = plan.segments[0].video_id, {unit.segment.number for unit in plan.segments}
    known = list(known)
    if known:
        for stage in DOWNSTREAM:
            ledger.retract(out, stage, video_id)
    segments = 1 + max((unit.segment for unit in known), default=0)
    for unit in known:
        if unit.segment not in numbers:
            ledger.retract(out, Stage.OBSERVE, video_id, unit.segment, segments)


def _follow_moved(out: str, inputs: Inputs, finished: set[str]) -> None:
    """A video that is named by another URI than it was observed under is read from there from now on."""
    for video_id, uri in inputs.videos.items():
        if video_id not in finished:
            continue
        row = parts.read_part(out, VIDEOS, video_id)
        known = row["uri"][0].as_py()
        same_content = {uri, *(copy for copy, original in inputs.copies.items() if original == uri)}
        if known not in same_content:
            moved = row.to_pylist()[0] | {"uri": uri}
            parts.write_part(out, VIDEOS, video_id, VIDEOS.from_rows([moved]))
