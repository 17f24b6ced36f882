"""run.json says what was asked, without secrets, and remembers earlier runs briefly."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jobs.engine import SetupError
from jobs.options import Select as SelectCommand
from jobs.run_record import FILE, REMEMBERED, RunRecord, redact
from jobs.stage import StageSummary
from pipeline.select.ranking import RankingOptions
from pipeline.select.video import SelectOptions
from schemas.vocabulary import Stage


@dataclass(frozen=True)
class Packing:
    seed: int = 7


@dataclass(frozen=True)
class Choosing:
    least: float = 0.5
    most: int = 9


@dataclass(frozen=True)
class Select:
    select: Choosing = field(default_factory=Choosing)


@dataclass(frozen=True)
class Run:
    videos: tuple[str, ...] = ("https://user:secret@host/a.mp4?X-Amz-Signature=secret",)
    segment_minutes: float = 10.0
    select: Choosing = field(default_factory=Choosing)
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


def test_every_stage_keeps_the_options_it_was_last_done_with(tmp_path: Path) -> None:
    record = RunRecord(str(tmp_path), Run(), [])
    assert [record.begin(stage) for stage in (Stage.OBSERVE, Stage.SELECT, Stage.PACK)] == [[], [], []]
    record.finish("finished", [StageSummary(Stage.OBSERVE, done=1, models={"faces": "yunet"}, config_hash="c0")], {})
    record = RunRecord(str(tmp_path), Select(Choosing(least=0.75)), [])
    assert record.begin(Stage.SELECT) == ["select.least: 0.5 → 0.75"]
    record.finish("finished", [StageSummary(Stage.SELECT, done=1)], {})
    provenance = content(tmp_path)["provenance"]
    assert {stage: entry["config"] for stage, entry in provenance.items()} == {
        "observe": {"segment_minutes": 10.0},
        "select": {"select": {"least": 0.75, "most": 9}},
        "pack": {"pack": {"seed": 7}},
    }
    assert (provenance["observe"]["models"], provenance["observe"]["config_hash"]) == ({"faces": "yunet"}, "c0")
    assert {stage: entry["command"] for stage, entry in provenance.items()} == {"observe": "run", "select": "select", "pack": "run"}
    assert all(entry["versions"]["pyarrow"] for entry in provenance.values())
    assert "provenance" not in content(tmp_path)["history"][0]


def test_a_stage_that_did_nothing_keeps_what_it_was_done_with_and_one_that_was_killed_does_not(tmp_path: Path) -> None:
    for least, done in ((0.5, 1), (0.75, 0)):
        record = RunRecord(str(tmp_path), Select(Choosing(least)), [])
        record.begin(Stage.SELECT)
        record.finish("finished", [StageSummary(Stage.SELECT, done=done)], {})
    assert content(tmp_path)["provenance"]["select"]["config"]["select"]["least"] == 0.5
    RunRecord(str(tmp_path), Select(Choosing(0.25)), []).begin(Stage.SELECT)
    assert content(tmp_path)["provenance"]["select"]["config"]["select"]["least"] == 0.25


def test_products_of_an_earlier_selection_are_known(tmp_path: Path) -> None:
    record = RunRecord(str(tmp_path), Run(), [])
    assert record.behind("s0") == []
    record.begin(Stage.PACK)
    record.finish("finished", [StageSummary(Stage.PACK)], {}, "s0")
    record = RunRecord(str(tmp_path), Select(), [])
    assert (record.behind("s0"), record.behind("s1")) == ([], [Stage.PACK])


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


def test_the_ranking_that_select_used_is_known_to_those_who_judge(tmp_path: Path) -> None:
    command = SelectCommand(str(tmp_path), select=SelectOptions(ranking=RankingOptions(expression_anchors=7)))
    record = RunRecord(str(tmp_path), command, [])
    record.begin(Stage.SELECT)
    record.finish("finished", [StageSummary(Stage.SELECT, done=1)], {})
    assert RunRecord(str(tmp_path), Run(), []).ranking() == RankingOptions(expression_anchors=7)


def test_without_a_selection_there_is_no_ranking(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="run select first"):
        RunRecord(str(tmp_path), Run(), []).ranking()
