import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import refine_throughput
from benchmarks.bare_client import asked_in, send
from benchmarks.refine_throughput import Measured, Setting, ranking, ratio, refine, verdicts
from pipeline.refine.options import PolicyOptions
from tests.end_to_end.outputs import run
from tests.jobs.answering_judge import AnsweringJudge
from tests.jobs.drawn_root import two_people, write_film, write_observed


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn people, selected from."""
    folder = tmp_path_factory.mktemp("selected")
    write_observed(folder / "out", write_film(folder), two_people())
    run("select", "--out", folder / "out", "--engine.engine", "local")
    return folder / "out"


@pytest.fixture(scope="module")
def judge() -> Iterator[AnsweringJudge]:
    with AnsweringJudge() as judge:
        yield judge


@pytest.fixture(scope="module")
def refined(selected: Path, judge: AnsweringJudge, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return refine(Setting(selected, judge.url), tmp_path_factory.mktemp("refined") / "out")


def test_the_bare_client_asks_what_refine_asked_under_other_ids(refined: Path, judge: AnsweringJudge) -> None:
    before = set(judge.requests)
    asked = asked_in(refined, verdicts(refined), PolicyOptions(questions_per_anchor=1), ranking(refined))
    spans = asyncio.run(send(asked, judge.url, 4, "again"))
    assert len(set(judge.requests) - before) == len(before) == len(asked) == len(spans) > 5
    assert [one.verdict_id for one in asked] == [one.verdict_id for one in sorted(verdicts(refined), key=lambda verdict: verdict.answered_at)]
    assert max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans) <= 4


def test_questions_that_other_options_ask_are_not_taken_for_those_that_were_asked(refined: Path) -> None:
    fewer = replace(ranking(refined), viewpoint_anchors=0)
    with pytest.raises(ValueError, match="not asked with these options"):
        asked_in(refined, verdicts(refined), PolicyOptions(questions_per_anchor=1), fewer)


def test_both_are_measured_in_turn_and_written(selected: Path, judge: AnsweringJudge, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = refine_throughput.main([str(selected), "--url", judge.url, "--pairs", "1", "--json", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [run["who"] for run in figures["runs"]] == ["bare", "refine"]
    assert figures["runs"][0]["requests"] == figures["runs"][1]["requests"] > 5
    assert code == int(figures["ratio"] < refine_throughput.TARGET)
    assert "refine / bare" in capsys.readouterr().out


def test_figures_of_a_run_are_those_of_its_requests() -> None:
    run = Measured.of("bare", [(10.0, 12.0), (10.0, 11.0), (11.0, 14.0)])
    assert (run.requests, run.seconds, run.latency, run.in_flight, run.rate) == (3, 4.0, 2.0, 1.5, 0.75)


def test_the_ratio_is_that_of_the_medians() -> None:
    runs = [
        Measured.of(who, [(0.0, seconds)]) for who, seconds in [("refine", 1.0), ("refine", 2.0), ("refine", 9.0), ("bare", 1.0), ("bare", 1.0), ("bare", 4.0)]
    ]
    assert ratio(runs) == 0.5
