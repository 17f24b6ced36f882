"""The stage ``select``: from a video's observations to its characters, anchors and clips. Reads tables only, no video."""

from dataclasses import asdict, dataclass

from jobs import ledger, parts
from jobs.engine import Stateless
from jobs.failure_log import FailureLog
from jobs.ledger import DoneUnit
from jobs.stage import Job, StageSummary, UnitResult, run_stage
from jobs.weights import calibration_hash
from pipeline.select.video import SelectOptions, select_video
from schemas import tables
from schemas.vocabulary import Stage


@dataclass(frozen=True)
class SelectUnit:
    """A video of which every segment is observed."""

    source: str
    video_id: str
    segments: int
    start_ns: int
    end_ns: int
    input_hash: str
    media_seconds: float = 0.0

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True)
class SelectWork(Stateless):
    """Selects from a video's observations and commits the rows."""

    out: str
    options: SelectOptions
    config_hash: str
    name: str = "select"

    def __call__(self, unit: SelectUnit) -> UnitResult:
        """Select; raises InputError when the tables cannot be read or written."""
        observed = [parts.segment_part(unit.video_id, segment) for segment in range(unit.segments)]
        shots = parts.read_parts(self.out, tables.SHOTS, observed)
        observations = parts.read_parts(self.out, tables.OBSERVATIONS, observed)
        ledger.withdraw(self.out, Stage.REFINE, unit.video_id)
        ledger.withdraw(self.out, Stage.SELECT, unit.video_id)
        selection = select_video(unit.video_id, shots, observations, self.options)
        parts.write_part(self.out, tables.TRACKS, unit.video_id, selection.tracks)
        parts.write_part(self.out, tables.CHARACTERS, unit.video_id, selection.characters)
        parts.write_part(self.out, tables.ANCHORS, unit.video_id, selection.anchors)
        parts.write_part(self.out, tables.CLIPS, unit.video_id, selection.clips)
        ledger.commit(self.out, DoneUnit(Stage.SELECT, unit.video_id, 0, unit.start_ns, unit.end_ns, self.config_hash, unit.input_hash, selection.counts))
        return UnitResult(selection.counts)


def select_config_hash(options: SelectOptions) -> str:
    """Hash of everything that decides what is selected, the calibration of expressions included."""
    return ledger.config_hash(Stage.SELECT, asdict(options) | {"expression_calibration": calibration_hash()})


def select(job: Job, options: SelectOptions) -> StageSummary:
    """Select from every wholly observed video that was not selected from with these options and these observations.

    Raises:
        SetupError: never in practice; see run_units.
    """
    config_hash = select_config_hash(options)
    observed = {video_id: units for video_id, units in ledger.by_video(ledger.load(job.out, Stage.OBSERVE).values()).items() if ledger.is_whole(units)}
    done = {unit.video_id: unit for unit in ledger.load(job.out, Stage.SELECT).values()}
    for video_id in sorted(set(done) - set(observed)):
        ledger.withdraw(job.out, Stage.REFINE, video_id)
        ledger.retract(job.out, Stage.SELECT, video_id)
    log = FailureLog(job.out, Stage.SELECT, config_hash)
    units = []
    for video_id, segments in observed.items():
        input_hash = ledger.content_hash([unit.fingerprint for unit in segments])
        before = done.get(video_id)
        if before is None or (before.config_hash, before.input_hash) != (config_hash, input_hash):
            uri = parts.read_part(job.out, tables.VIDEOS, video_id, ["uri"])["uri"][0].as_py()
            units.append(SelectUnit(uri, video_id, len(segments), segments[0].start_ns, segments[-1].end_ns, input_hash))
    work = SelectWork(job.out, options, config_hash)
    summary = run_stage(job, Stage.SELECT, work, units, log, on_failure=lambda unit: ledger.retract(job.out, Stage.SELECT, unit.video_id), light=True)
    summary.config_hash = config_hash
    summary.skipped = len(observed) - len(units)
    return summary
