"""The stage ``observe``: every segment of every video in one decode pass, on workers that keep the models loaded."""

from dataclasses import asdict, dataclass, field

from jobs import ledger, parts
from jobs.failure_log import FailureLog
from jobs.inputs import Inputs
from jobs.ledger import DoneUnit
from jobs.plan import SegmentUnit, plan_observe
from jobs.stage import Job, StageSummary, UnitResult, run_stage
from jobs.weights import weight_hashes
from pipeline.failures import InputError
from pipeline.observe import ObserveOptions, SegmentObservations, observe_segment
from pipeline.perception.models import PerceptionOptions, load_perception
from pipeline.perception.protocols import Perception
from pipeline.video.index import VideoIndex, read_index
from schemas import tables
from schemas.vocabulary import FailureKind, Stage

WITHOUT_INFLUENCE = ("threads", "decoder_threads", "insightface_weights", "deepface_weights")
"""Options that change how fast things are and not what is seen; and the folders of weights, whose content counts."""


def observe_config_hash(options: ObserveOptions, perception: PerceptionOptions, segment_minutes: float) -> str:
    """Hash of everything that decides what is observed, the content of the weights included."""
    chosen = {name: value for name, value in (asdict(options) | asdict(perception)).items() if name not in WITHOUT_INFLUENCE}
    return ledger.config_hash(Stage.OBSERVE, {"chosen": chosen, "segment_minutes": segment_minutes, "weights": weight_hashes(perception)})


@dataclass
class ObserveWork:
    """Observes a segment and commits its rows."""

    out: str
    options: ObserveOptions
    perception: PerceptionOptions
    config_hash: str
    name: str = "observe"
    units_at_once: int = 1
    _models: Perception | None = field(default=None, init=False, repr=False)
    _index: VideoIndex | None = field(default=None, init=False, repr=False)

    def setup(self) -> None:
        """Load the models."""
        self._models = load_perception(self.perception)

    def __call__(self, unit: SegmentUnit) -> UnitResult:
        """Observe a segment; raises VideoError or InputError when it cannot be read, or rows cannot be written."""
        index = self._read_index(unit)
        ledger.withdraw(self.out, Stage.OBSERVE, unit.video_id, unit.segment.number)
        observed = self.look(unit, index)
        part = parts.segment_part(unit.video_id, unit.segment.number)
        parts.write_part(self.out, tables.OBSERVATIONS, part, observed.observations)
        parts.write_part(self.out, tables.SHOTS, part, observed.shots)
        parts.write_part(self.out, tables.VIDEOS, unit.video_id, tables.VIDEOS.from_rows([index.row()]))
        counts = {**observed.counts, "segments": unit.segments}
        span = (unit.segment.start_ns, unit.segment.end_ns)
        done = DoneUnit(Stage.OBSERVE, unit.video_id, unit.segment.number, *span, self.config_hash, unit.video_id, counts, observed.seconds)
        ledger.commit(self.out, done)
        return UnitResult(observed.counts, observed.seconds, self._models.names() if self._models else {})

    def look(self, unit: SegmentUnit, index: VideoIndex) -> SegmentObservations:
        """Decode a segment and ask the models."""
        assert self._models is not None, "setup() comes first"
        return observe_segment(unit.uri, index, unit.segment, self._models, self.options)

    def close(self) -> None:
        """Close the models."""
        if self._models is not None:
            self._models.close()
            self._models = None

    def _read_index(self, unit: SegmentUnit) -> VideoIndex:
        """The video's index; kept, because the segments of a long video tend to come one after another."""
        if self._index is None or self._index.uri != unit.uri:
            self._index = read_index(unit.uri)
        if self._index.video_id != unit.video_id:
            raise InputError(FailureKind.STORAGE, f"{unit.uri} was replaced by another file while the job was running: run again")
        return self._index


def observe(job: Job, inputs: Inputs, options: ObserveOptions, perception: PerceptionOptions, segment_minutes: float) -> list[StageSummary]:
    """Observe what is not yet observed.

    Args:
        job: where.
        inputs: the videos.
        options: how to observe.
        perception: with which models.
        segment_minutes: length of the segments that long videos are cut into.

    Returns:
        What planning and observing did.

    Raises:
        SetupError: the models cannot be loaded.
    """
    config_hash = observe_config_hash(options, perception, segment_minutes)
    units, skipped, planning = plan_observe(job, inputs, config_hash, segment_minutes * 60)
    log = FailureLog(job.out, Stage.OBSERVE, config_hash)
    planned, sources = {unit.video_id for unit in units}, {unit.source for unit in units}
    log.clear_where(lambda source, video_id: video_id in planned and source not in sources)
    work = ObserveWork(job.out, options, perception, config_hash)
    summary = run_stage(
        job,
        Stage.OBSERVE,
        work,
        units,
        log,
        on_failure=lambda unit: ledger.retract(job.out, Stage.OBSERVE, unit.video_id, unit.segment.number, segments=unit.segments),
    )
    summary.config_hash = config_hash
    summary.skipped = skipped
    return [planning, summary]
