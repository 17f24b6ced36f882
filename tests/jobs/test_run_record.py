"""run.json says what was asked, without secrets, and remembers earlier runs briefly."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.run_record import FILE, REMEMBERED, RunRecord, redact
from jobs.stage import StageSummary
from schemas.vocabulary import Stage


@dataclass(frozen=True)
class Packing:
    seed: int = 7


@dataclass(frozen=True)
class Run:
    videos: tuple[str, ...] = ("https://user:secret@host/a.mp4?X-Amz-Signature=secret",)
    pack: Packing = field(default_factory=Packing)


def content(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / FILE).read_text())
    return loaded


def test_a_run_is_recorded_when_it_starts_and_when_it_ends(tmp_path: Path) -> None:
    record = RunRecord(str(tmp_path), Run(), ["run", "--videos", Run().videos[0]])
    started = content(tmp_path)
    assert (started["command"], started["status"], started["finished_at"], started["seed"]) == ("run", "running", None, 7)
    assert started["versions"]["pyarrow"]
    summary = StageSummary(Stage.OBSERVE, done=2, counts=Counter(faces=5), models={"faces": "yunet (49f000ec)"})
    record.finish("finished", [summary], {"videos": 2})
    ended = content(tmp_path)
    assert (ended["status"], ended["totals"], ended["models"]) == ("finished", {"videos": 2}, {"faces": "yunet (49f000ec)"})
    assert ended["stages"]["observe"]["done"] == 2
    assert ended["stages"]["observe"]["counts"] == {"faces": 5}
    assert ended["started_at"] == started["started_at"] <= ended["finished_at"]
    assert "secret" not in (tmp_path / FILE).read_text()


def test_earlier_runs_are_remembered_briefly_and_not_for_ever(tmp_path: Path) -> None:
    for number in range(REMEMBERED + 5):
        RunRecord(str(tmp_path), Run(), []).finish("finished", [StageSummary(Stage.OBSERVE, done=number, models={"faces": "yunet"})], {})
    history = content(tmp_path)["history"]
    assert len(history) == REMEMBERED
    assert history[-1]["stages"]["observe"]["done"] == REMEMBERED + 3
    assert history[-1]["status"] == "finished"
    assert content(tmp_path)["models"] == {"faces": "yunet"}


def test_the_hash_is_of_the_configuration_alone(tmp_path: Path) -> None:
    hashes = {RunRecord(str(tmp_path / name), command, [name]).content["config_hash"] for name, command in (("a", Run()), ("b", Run()))}
    assert len(hashes) == 1
    assert RunRecord(str(tmp_path / "c"), Run(pack=Packing(8)), []).content["config_hash"] not in hashes


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://user:password@host/a.mp4", "https://…@host/a.mp4"),
        ("https://host/a.mp4?token=1&x=2", "https://host/a.mp4?…"),
        ("s3://bucket/what?.mp4", "s3://bucket/what?…"),
        ("/films/what?.mp4", "/films/what?.mp4"),
        ("--videos", "--videos"),
    ],
)
def test_redaction(text: str, clean: str) -> None:
    assert redact(text) == clean
