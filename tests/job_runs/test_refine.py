"""Refining through the command line, with a judge on this machine: that it asks what it must, nothing twice, and survives every kill."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.refine.options import PolicyOptions
from tests.end_to_end.outputs import ROOT, command, environment, names, run, tables
from tests.jobs.answering_judge import MODEL, AnsweringJudge, contrary
from tests.jobs.drawn_root import two_people, write_film, write_observed

LOCAL = ["--engine.engine", "local"]


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn people, selected from."""
    folder = tmp_path_factory.mktemp("selected")
    write_observed(folder / "out", write_film(folder), two_people())
    run("select", "--out", folder / "out", *LOCAL)
    return folder / "out"


@pytest.fixture
def out(selected: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(selected, tmp_path / "out"))


@pytest.fixture(scope="module")
def refined(selected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed run leaves."""
    folder = Path(shutil.copytree(selected, tmp_path_factory.mktemp("refined") / "out"))
    with AnsweringJudge(contrary) as judge:
        refine(folder, judge)
    return folder


def refine(out: Path, judge: AnsweringJudge, *arguments: object, code: int = 0) -> str:
    return run("refine", "--out", out, "--refine.server.urls", judge.url, *(arguments or LOCAL), code=code)


def assert_same(found: Path, expected: Path) -> None:
    """The same verdicts, anchors and clips, in the same files."""
    assert names(found) == names(expected)
    for table in ("verdicts", "anchors", "clips"):
        assert tables(found)[table] == tables(expected)[table], table


def by_status(rows: list[dict[str, Any]]) -> set[tuple[str, str | None]]:
    return {(row["status"], row["decision"]) for row in rows if row["selected_status"] == "accepted"}


def test_every_anchor_is_judged_and_every_clip_captioned(refined: Path) -> None:
    found = tables(refined)
    verdicts = {row["verdict_id"]: row for row in found["verdicts"]}
    assert len(verdicts) == len(found["verdicts"]) > 20
    assert {row["model"] for row in found["verdicts"]} == {MODEL}
    assert {row["problem"] for row in found["verdicts"]} == {None}
    assert by_status(found["anchors"]) <= {("accepted", "accept"), ("accepted", "relabel"), ("rejected", "reject"), ("rejected", "relabel"), ("rejected", None)}
    for row in found["anchors"]:
        if row["decision"] is not None:
            verdict = verdicts[row["verdict_id"]]
            assert (verdict["subject"], verdict["question"]) == (row["anchor_id"], row["kind"])
            confirmed = verdict["named"] == verdict["stated"]
            relabelled = not confirmed and row["kind"] != "global" and row["confidence"] < PolicyOptions().relabel_below
            assert (row["decision"] == "relabel") == relabelled
            assert row["kind"] == "global" or row["subclass"] == (verdict["named"] if confirmed or relabelled else row["selected_subclass"])
    clips = [row for row in found["clips"] if row["status"] == "accepted"]
    assert clips
    assert all(row["caption"] == verdicts[row["verdict_id"]]["caption"] and verdicts[row["verdict_id"]]["subject"] == row["clip_id"] for row in clips)


def test_what_judged_is_recorded(refined: Path) -> None:
    record = json.loads((refined / "run.json").read_text())
    assert record["models"]["judge"] == MODEL
    assert record["provenance"]["refine"]["config_hash"] in {row["config_hash"] for row in tables(refined)["units"] if row["stage"] == "refine"}
    assert record["stages"]["refine"]["counts"]["questions"] == len(tables(refined)["verdicts"])


def test_nothing_is_asked_twice_and_another_prompt_asks_anew_and_keeps_the_old_verdicts(refined: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(refined, tmp_path / "out"))
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    shipped = (ROOT / "pipeline" / "refine" / "prompts" / "expression.txt").read_text()
    (prompts / "expression.txt").write_text(shipped.replace("version: 1", "version: mine", 1))
    before = {row["verdict_id"]: row for row in tables(out)["verdicts"]}
    with AnsweringJudge(contrary) as judge:
        refine(out, judge)
        refine(out, judge, *LOCAL, "--refine.policy.least-certainty", "2")
        assert judge.requests.total() == 0
        refine(out, judge, *LOCAL, "--refine.prompts", prompts)
        asked = judge.requests.total()
    after = {row["verdict_id"]: row for row in tables(out)["verdicts"]}
    assert before.items() <= after.items()
    added = [row for name, row in after.items() if name not in before]
    assert {(row["question"], row["prompt_version"]) for row in added} == {("expression", "mine")}
    assert len(added) == asked > 0


def test_without_a_judge_everything_waits_and_is_refined_later(out: Path, refined: Path) -> None:
    nowhere = ["--refine.server.urls", "http://127.0.0.1:9/v1", *LOCAL]
    said = run("refine", "--out", out, *nowhere)
    assert "wait for a judge" in said
    assert "docs/refinement.md" in said
    assert by_status(tables(out)["anchors"]) == {("pending", "pending")}
    assert "wait for a judge" in run("refine", "--out", out, *nowhere, "--require-refine", code=1)
    said = run("pack", "--out", out, *LOCAL)
    assert "--pack.include-pending" in said
    assert not list((out / "shards").glob("*.tar"))
    with AnsweringJudge(contrary) as judge:
        assert "run pack" in refine(out, judge, *LOCAL, "--require-refine")
    for table in ("verdicts", "anchors", "clips"):
        assert tables(out)[table] == tables(refined)[table]


def test_workers_and_the_order_of_replies_change_nothing(out: Path, refined: Path) -> None:
    with AnsweringJudge(contrary, shuffle=True) as judge:
        refine(out, judge, "--engine.engine", "ray", "--engine.workers", "2")
        assert set(judge.requests.values()) == {1}
    assert_same(out, refined)


def test_a_job_that_is_killed_asks_nothing_again_that_was_answered(out: Path, refined: Path) -> None:
    answers = 9
    with AnsweringJudge(contrary, hold_after=answers) as judge:
        arguments = command("refine", "--out", out, "--refine.server.urls", judge.url, *LOCAL)
        with subprocess.Popen(arguments, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            assert judge.held.wait(120)
            deadline = time.monotonic() + 60
            while len(list((out / "verdicts").glob("*.parquet"))) < answers:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
        while judge.under_way:  # until the server has noticed
            assert time.monotonic() < deadline
            time.sleep(0.01)
        before = set(judge.answered)
        judge.release()
        refine(out, judge)
        assert {judge.requests[request_id] for request_id in before} == {1}
        assert judge.answered.total() == len(tables(out)["verdicts"])
    assert_same(out, refined)


def test_a_server_that_is_gone_in_mid_run_and_returns_is_waited_for(out: Path, refined: Path) -> None:
    went: list[bool] = []
    with AnsweringJudge(contrary, hold_after=7) as judge:

        def go_and_return() -> None:
            went.append(judge.held.wait(120))
            judge.stop()
            judge.hold_after = None
            time.sleep(1.0)
            judge.start()

        trouble = threading.Thread(target=go_and_return)
        trouble.start()
        refine(out, judge)
        trouble.join()
    assert went == [True]
    assert_same(out, refined)


def test_a_server_that_does_not_return_costs_nothing_that_came_back(out: Path, refined: Path) -> None:
    with AnsweringJudge(contrary, hold_after=7) as judge:

        def go() -> None:
            judge.held.wait(120)
            judge.stop()

        trouble = threading.Thread(target=go)
        trouble.start()
        said = refine(out, judge, *LOCAL, "--refine.server.patience-minutes", "0.02")
        trouble.join()
        assert "wait for a judge" in said
        assert len(tables(out)["verdicts"]) == 7
        judge.hold_after = None
        judge.start()
        refine(out, judge)
    assert_same(out, refined)


def test_the_key_stands_nowhere(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-0123456789-do-not-tell"
    monkeypatch.setenv("GLORIA_JUDGE_API_KEY", secret)
    with AnsweringJudge(contrary) as judge:
        said = refine(out, judge, "--engine.engine", "ray", "--engine.workers", "1")
        assert {headers["Authorization"] for headers in judge.headers} == {f"Bearer {secret}"}
    assert secret not in said
    assert all(secret.encode() not in (out / name).read_bytes() for name in names(out))
