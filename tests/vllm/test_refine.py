"""``refine`` against a real vLLM server with a tiny model, which answers in form and at random. Run by ``make test-vllm``."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.refine_throughput import TARGET, Setting, compare, ratio, table
from pipeline.refine.options import PictureOptions
from schemas.answers import parse_answer
from schemas.vocabulary import QuestionKind
from tests.end_to_end.outputs import ROOT, command, environment, run, tables
from tests.vllm.server import MODEL, VllmServer, make_model

pytestmark = pytest.mark.timeout(900)

IN_FLIGHT = 32
LOCAL = ["--engine.engine", "local"]
VIDEOS = ["asset:cry_to_laugh", "asset:single_face", "asset:multi_person_cam01"]
RANKING = {"global-anchors": 16, "viewpoint-anchors": 80, "expression-anchors": 50, "min-distance": 0}
"""So many, and so close to each other, that hundreds of questions are open at the same time."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    folder = tmp_path_factory.mktemp("vllm")
    server = VllmServer(make_model(folder / "model"), folder / "server.log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output root in which hundreds of candidates are to be asked about."""
    out = tmp_path_factory.mktemp("selected") / "out"
    run("observe", "--videos", *VIDEOS, "--observe.samples-per-second", 8, "--out", out, *LOCAL)
    run("select", "--out", out, *(f"--select.ranking.{name}={value}" for name, value in RANKING.items()), *LOCAL)
    return out


@dataclass(frozen=True)
class Refined:
    """What an undisturbed run leaves, and the most requests that the server had at the same time."""

    out: Path
    in_flight: int

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return tables(self.out)["verdicts"]


@pytest.fixture(scope="module")
def refined(selected: Path, server: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Refined:
    out = Path(shutil.copytree(selected, tmp_path_factory.mktemp("refined") / "out"))
    with highest(lambda: server.in_flight) as in_flight:
        run(*arguments(out, server))
    return Refined(out, max(in_flight))


def arguments(out: Path, server: VllmServer) -> list[object]:
    options = {"urls": server.url, "in-flight": IN_FLIGHT}
    return ["refine", "--out", out, "--require-refine", "--refine.policy.questions-per-anchor=1", *(f"--refine.server.{k}={v}" for k, v in options.items())]


@contextmanager
def highest(look: Callable[[], int]) -> Iterator[list[int]]:
    """Look again and again in a thread."""
    found, ended = [look()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            found.append(look())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


@contextmanager
def started(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """A job in the background, which ends at the latest with the test."""
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command(*arguments), cwd=ROOT, env=environment(), start_new_session=True, **streams) as job:
        try:
            yield job
        finally:
            kill(job)


def kill(job: "subprocess.Popen[str]") -> None:
    if job.poll() is None:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def wait_until(condition: Callable[[], bool], job: "subprocess.Popen[str]", seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.05)


def test_every_answer_is_valid(refined: Refined) -> None:
    assert len(refined.verdicts) > 200
    assert {row["question"] for row in refined.verdicts} == set(map(str, QuestionKind)), "another SEED in make_tiny_model accepts some"
    for row in refined.verdicts:
        assert (row["problem"], row["finish_reason"], row["model"], row["repaired"]) == (None, "stop", MODEL, False)
        kind = QuestionKind(row["question"])
        alone = PictureOptions().caption_frames if kind is QuestionKind.CAPTION else 1
        answer = parse_answer(row["answer"], kind, row["request_id"], has_reference=row["pictures"] > alone)
        assert (row["named"], row["certainty"], row["caption"], row["flaws"]) == (answer.named, answer.certainty, answer.caption, list(answer.flaws))
        assert row["prompt_tokens"] > row["completion_tokens"] > 0


def test_nothing_is_left_pending(refined: Refined) -> None:
    found = tables(refined.out)
    assert {row["status"] for table in ("anchors", "clips") for row in found[table]} == {"accepted", "rejected"}
    assert {row["decision"] for row in found["anchors"]} >= {"accept", "reject"}


def test_the_server_has_many_requests_at_the_same_time(refined: Refined) -> None:
    assert refined.in_flight >= 16


def test_refine_is_hardly_slower_than_a_bare_client(refined: Refined, selected: Path, server: VllmServer, capsys: pytest.CaptureFixture[str]) -> None:
    setting = Setting(selected, server.url, IN_FLIGHT)
    runs = compare(setting, pairs=2, refined=refined.out)
    if ratio(runs) < TARGET:  # it is so, or somebody else was busy on this machine
        runs += compare(setting, pairs=2, refined=refined.out)
    with capsys.disabled():
        Console().print(table(runs))
    assert ratio(runs) >= TARGET


def test_a_server_that_is_killed_and_started_again_changes_nothing(refined: Refined, selected: Path, server: VllmServer, tmp_path: Path) -> None:
    out = Path(shutil.copytree(selected, tmp_path / "out"))
    before = server.requests().total()
    with started(*arguments(out, server)) as job:
        wait_until(lambda: server.requests().total() - before >= 100, job)
        server.kill()
        assert 0 < len(list((out / "verdicts").glob("*.parquet"))) < len(refined.verdicts)
        server.start()
        words, _ = job.communicate(timeout=300)
    assert job.returncode == 0, words
    assert tables(out)["verdicts"] == refined.verdicts
    assert tables(out)["anchors"] == tables(refined.out)["anchors"]


def test_a_job_that_is_killed_and_started_again_asks_nothing_twice(refined: Refined, selected: Path, server: VllmServer, tmp_path: Path) -> None:
    out = Path(shutil.copytree(selected, tmp_path / "out"))
    before = server.requests()
    with started(*arguments(out, server), *LOCAL) as job:
        wait_until(lambda: (server.requests() - before).total() >= 100, job)
        kill(job)
    answered = {row["request_id"] for row in tables(out)["verdicts"]}
    assert 0 < len(answered) < len(refined.verdicts)
    between = server.requests()
    run(*arguments(out, server), *LOCAL)
    again = server.requests() - between
    assert set(again) == {row["request_id"] for row in refined.verdicts} - answered
    assert set(again.values()) == {1}
    assert tables(out)["verdicts"] == refined.verdicts
    assert tables(out)["anchors"] == tables(refined.out)["anchors"]
