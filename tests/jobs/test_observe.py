"""What observing a segment leaves behind. The models do not look here: what they see is tested with them, the whole in end_to_end."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs import ledger, parts, weights
from jobs.engine import SetupError
from jobs.inputs import find_inputs
from jobs.observe import ObserveWork, observe, observe_config_hash
from jobs.plan import SegmentUnit, plan_observe
from pipeline.failures import InputError
from pipeline.observe import ObserveOptions, SegmentObservations
from pipeline.perception.models import PerceptionOptions
from pipeline.video.index import VideoIndex
from schemas.tables import OBSERVATIONS, SHOTS, UNITS, VIDEOS
from schemas.vocabulary import FailureKind, Stage
from tests.barcode import write_video
from tests.jobs.drawn_root import quiet_job

OPTIONS, MODELS = ObserveOptions(), PerceptionOptions()


@dataclass
class Blind(ObserveWork):
    """Sees nobody, and remembers what lay in the output root while it looked."""

    def look(self, unit: SegmentUnit, index: VideoIndex) -> SegmentObservations:
        Path(f"{self.out}.seen").write_text("\n".join(path.name for path in Path(self.out).rglob("*.parquet")))
        shot = {"shot_id": f"{index.video_id}-0", "video_id": index.video_id, "segment": unit.segment.number, "starts_at": "video", "ends_at": "video"}
        span = {"start_ns": unit.segment.start_ns, "end_ns": unit.segment.end_ns, "frame_count": index.frame_count, "sampled_count": 1}
        return SegmentObservations(SHOTS.from_rows([shot | span]), OBSERVATIONS.empty(), {"sampled": 1}, {"decode": 0.25})


def plan(out: Path, film: Path) -> SegmentUnit:
    ((unit,), _, _) = plan_observe(quiet_job(out), find_inputs([str(film)]), "c0", 600.0)
    return unit


def test_a_segment_leaves_its_parts_and_its_row(tmp_path: Path) -> None:
    unit = plan(tmp_path / "out", write_video(tmp_path / "film.mp4", frames=30).path)
    out = str(tmp_path / "out")
    result = Blind(out, OPTIONS, MODELS, "c0")(unit)
    assert (result.counts, result.seconds) == ({"sampled": 1}, {"decode": 0.25})
    assert parts.part_names(out, VIDEOS) == [unit.video_id]
    assert parts.part_names(out, OBSERVATIONS) == parts.part_names(out, SHOTS) == [f"{unit.video_id}-s0000"]
    (row,) = parts.read_parts(out, UNITS).to_pylist(maps_as_pydicts="strict")
    assert (row["stage"], row["video_id"], row["config_hash"], row["counts"]) == ("observe", unit.video_id, "c0", {"sampled": 1, "segments": 1})
    assert (row["start_ns"], row["end_ns"]) == (unit.segment.start_ns, unit.segment.end_ns)
    assert row["host"]


def test_its_row_is_gone_while_it_is_observed_again(tmp_path: Path) -> None:
    unit = plan(tmp_path / "out", write_video(tmp_path / "film.mp4", frames=30).path)
    for config in ("c0", "c1"):
        Blind(str(tmp_path / "out"), OPTIONS, MODELS, config)(unit)
    seen = (tmp_path / "out.seen").read_text().split()
    assert f"{unit.video_id}-s0000.parquet" in seen
    assert f"observe-{unit.video_id}-s0000.parquet" not in seen
    assert [done.config_hash for done in ledger.load(str(tmp_path / "out"), Stage.OBSERVE).values()] == ["c1"]


def test_a_file_that_was_replaced_after_planning_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", frames=30).path
    unit = plan(tmp_path / "out", film)
    shutil.copy(write_video(tmp_path / "other.mp4", frames=31).path, film)
    with pytest.raises(InputError, match="replaced") as raised:
        Blind(str(tmp_path / "out"), OPTIONS, MODELS, "c0")(unit)
    assert raised.value.kind is FailureKind.STORAGE
    assert ledger.load(str(tmp_path / "out"), Stage.OBSERVE) == {}


def test_models_that_cannot_be_loaded_end_the_job_with_what_to_do(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", frames=30).path
    with pytest.raises(SetupError, match=r"observe cannot start: .*insightface_weights"):
        observe(quiet_job(tmp_path / "out"), find_inputs([str(film)]), OPTIONS, PerceptionOptions(faces="insightface"), 10.0)
    assert not (tmp_path / "out" / "failures").exists()


def test_the_hash_is_of_what_has_influence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = observe_config_hash(OPTIONS, MODELS, 10.0)
    assert observe_config_hash(OPTIONS, PerceptionOptions(threads=4), 10.0) == own
    others = [
        observe_config_hash(ObserveOptions(samples_per_second=2.0), MODELS, 10.0),
        observe_config_hash(OPTIONS, PerceptionOptions(expression="deepface"), 10.0),
        observe_config_hash(OPTIONS, MODELS, 5.0),
    ]
    assert len({own, *others}) == 4
    monkeypatch.setattr(weights, "CALIBRATION", tmp_path / "calibration.json")
    weights.CALIBRATION.write_text("another")
    assert observe_config_hash(OPTIONS, MODELS, 10.0) not in {own, *others}
