"""Samples that are made on workers: which are staged, which become failures, and who pays for whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs import parts
from jobs.engine import Stateless
from jobs.failure_log import FailureLog
from jobs.stage import StageSummary
from jobs.staging import MissingSample, Staged, stage_samples
from pipeline.failures import InputError
from pipeline.pack import shards as shard_files
from schemas.tables import FAILURES
from schemas.vocabulary import FailureKind, Stage
from tests.jobs.pack_root import job_at
from tests.pipeline.pack.made_samples import made_sample


@dataclass(frozen=True)
class Few:
    keys: tuple[str, ...]

    @property
    def missing(self) -> Sequence[MissingSample]:
        return [MissingSample(key, "video", 2.0) for key in self.keys]

    def apart(self) -> Sequence["Few"]:
        return [Few((key,)) for key in self.keys]


@dataclass(frozen=True)
class Make(Stateless):
    """Makes samples; the first letter of a key says what happens instead."""

    shards: str
    kills: FailureKind = FailureKind.WORKER_DIED
    name: str = "make"

    def __call__(self, unit: Few) -> Staged:
        if any(key.startswith("kills") for key in unit.keys):
            raise InputError(self.kills, "the worker is gone")
        return [(key, self._made(key)) for key in unit.keys if not key.startswith("forgotten")]

    def _made(self, key: str) -> shard_files.Piece | InputError:
        return InputError(FailureKind.DAMAGED, f"{key} is damaged") if key.startswith("damaged") else shard_files.stage(self.shards, made_sample(key))


def staged(out: Path, units: list[Few], kills: FailureKind = FailureKind.WORKER_DIED) -> tuple[set[str], dict[str, str], StageSummary]:
    """Keys that were staged, kinds of the failures by key, what was counted."""
    summary, count = StageSummary(Stage.ENCODE), sum(len(unit.keys) for unit in units)
    work = Make(str(out / "shards"), kills)
    pieces = stage_samples(job_at(out), work, units, count, 2.0 * count, FailureLog(str(out), Stage.ENCODE), summary)
    rows = parts.read_parts(str(out), FAILURES).to_pylist()
    assert all((row["stage"], row["video_id"]) == ("encode", "video") for row in rows)
    return {piece.key for piece in pieces}, {row["source"]: row["kind"] for row in rows}, summary


def test_each_sample_is_staged_or_a_failure_of_its_own(tmp_path: Path) -> None:
    keys, failures, summary = staged(tmp_path, [Few(("a", "damaged", "forgotten")), Few(("b",))])
    assert keys == {"a", "b"}
    assert failures == {"damaged": "damaged", "forgotten": "bug"}
    assert (summary.done, summary.failed) == (2, 2)
    assert summary.media_seconds == pytest.approx(2 * 0.25)  # four frames each, as the samples themselves say


@pytest.mark.parametrize("kills", [FailureKind.WORKER_DIED, FailureKind.TIMED_OUT, FailureKind.OUT_OF_MEMORY, FailureKind.BUG])
def test_what_kills_a_worker_does_not_cost_its_neighbours(tmp_path: Path, kills: FailureKind) -> None:
    keys, failures, summary = staged(tmp_path, [Few(("a", "kills", "b")), Few(("c",))], kills)
    assert (keys, failures) == ({"a", "b", "c"}, {"kills": str(kills)})
    assert (summary.done, summary.failed) == (3, 1)


def test_what_is_wrong_with_all_is_not_tried_one_by_one(tmp_path: Path) -> None:
    keys, failures, _ = staged(tmp_path, [Few(("a", "kills", "b"))], FailureKind.NOT_FOUND)
    assert (keys, failures) == (set(), dict.fromkeys(("a", "kills", "b"), "not_found"))


def test_a_later_success_removes_the_failure(tmp_path: Path) -> None:
    staged(tmp_path, [Few(("a", "kills"))], FailureKind.NOT_FOUND)
    keys, failures, _ = staged(tmp_path, [Few(("a",))])
    assert (keys, failures) == ({"a"}, {"kills": "not_found"})


def test_nothing_is_started_for_nothing(tmp_path: Path) -> None:
    assert staged(tmp_path, [])[0] == set()
