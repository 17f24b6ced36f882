"""The stage: when it asks, when it does not, and what it says. What comes of kills is in tests/end_to_end."""

from pathlib import Path

import pytest

from jobs import ledger, parts, verdict_parts
from jobs.engine import SetupError
from jobs.refine import Refined, refine
from jobs.select import select
from pipeline.refine.options import PolicyOptions, RefineOptions, ServerOptions
from pipeline.select.ranking import RankingOptions
from pipeline.select.video import SelectOptions
from schemas.tables import ANCHORS, FAILURES, VERDICTS
from schemas.vocabulary import Stage
from tests.jobs.answering_judge import MODEL, AnsweringJudge
from tests.jobs.drawn_root import quiet_job, two_people, write_film, write_observed
from tests.pipeline.drawn_observations import VIDEO

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_observed(tmp_path / "out", write_film(tmp_path), two_people())
    select(quiet_job(tmp_path / "out"), SelectOptions())
    return tmp_path / "out"


def run(out: Path, *urls: str, policy: PolicyOptions | None = None, model: str | None = None, last_model: str | None = None) -> Refined:
    options = RefineOptions(ServerOptions(urls, patience_minutes=0.01), policy=policy or PolicyOptions(), model=model)
    return refine(quiet_job(out), options, RankingOptions(), last_model)


def statuses(out: Path) -> set[str]:
    rows = parts.read_part(str(out), ANCHORS, VIDEO).to_pylist()
    return {row["status"] for row in rows if row["selected_status"] == "accepted"}


def test_a_judge_who_agrees_leaves_what_select_chose(out: Path) -> None:
    with AnsweringJudge() as judge:
        refined = run(out, judge.url, policy=PolicyOptions(least_confidence=1))
        assert refined.waiting is None
        assert (refined.summary.done, refined.summary.failed) == (1, 0)
        assert refined.summary.counts["questions"] == judge.answered.total()
        assert refined.summary.models["judge"] == MODEL
    rows = parts.read_part(str(out), ANCHORS, VIDEO).to_pylist()
    for row in rows:
        assert (row["status"], row["rank"], row["subclass"]) == tuple(row[f"selected_{name}"] for name in ("status", "rank", "subclass"))


def test_what_is_done_is_not_done_again_and_another_policy_asks_nothing_twice(out: Path) -> None:
    with AnsweringJudge() as judge:
        run(out, judge.url)
        again = run(out, judge.url)
        assert (again.summary.done, again.summary.skipped) == (0, 1)
        other = run(out, judge.url, policy=PolicyOptions(least_certainty=5, questions_per_anchor=1, least_confidence=1))
        assert other.summary.done == 1
        assert set(judge.requests.values()) == {1}  # another global anchor is another reference; else nothing would be asked
    rows = parts.read_part(str(out), ANCHORS, VIDEO).to_pylist()
    certainty = {row["verdict_id"]: row["certainty"] for row in parts.read_parts(str(out), VERDICTS).to_pylist()}
    judged = [row for row in rows if row["verdict_id"] is not None]
    assert {(certainty[row["verdict_id"]] == 5, row["status"] == "accepted", row["reason"]) for row in judged} == {
        (True, True, None),
        (False, False, "judged_unclear"),
    }


def test_without_a_judge_anchors_wait_and_judged_ones_stay_judged(out: Path) -> None:
    refined = run(out, NOWHERE)
    assert refined.waiting is not None
    assert "docs/refinement.md" in refined.waiting
    assert statuses(out) == {"pending"}
    assert run(out, NOWHERE).summary.skipped == 1
    with AnsweringJudge() as judge:
        assert run(out, judge.url).waiting is None
    assert statuses(out) == {"accepted"}
    assert run(out, NOWHERE).waiting is None
    assert statuses(out) == {"accepted"}


def test_a_selection_that_is_made_anew_is_judged_anew_from_what_is_known(out: Path) -> None:
    with AnsweringJudge() as judge:
        run(out, judge.url)
        asked = judge.requests.total()
        ledger.retract(str(out), Stage.SELECT, VIDEO)
        select(quiet_job(out), SelectOptions())
        assert ledger.load(str(out), Stage.REFINE) == {}
        assert run(out, judge.url).summary.done == 1
        assert judge.requests.total() == asked
    assert statuses(out) == {"accepted"}


def test_without_a_server_the_verdicts_that_are_there_still_count(out: Path) -> None:
    with AnsweringJudge() as judge:
        run(out, judge.url)
    before = parts.read_part(str(out), ANCHORS, VIDEO)
    ledger.retract(str(out), Stage.SELECT, VIDEO)
    select(quiet_job(out), SelectOptions())
    refined = run(out, last_model=MODEL)
    assert refined.summary.done == 1
    assert refined.waiting is None
    assert parts.read_part(str(out), ANCHORS, VIDEO).equals(before)
    stricter = run(out, last_model=MODEL, policy=PolicyOptions(least_certainty=5))
    assert stricter.summary.done == 1
    assert {"accepted", "rejected"} <= statuses(out)


def test_a_server_that_takes_no_request_is_not_believed_to_have_answered(out: Path) -> None:
    with AnsweringJudge() as judge:
        judge.refuses = True
        refined = run(out, judge.url)
        assert refined.waiting is not None
        assert refined.unanswered
        assert statuses(out) == {"pending"}
        judge.refuses = False
        assert run(out, judge.url).waiting is None
    assert statuses(out) == {"accepted"}


@pytest.mark.parametrize("key", ["one\ntwo", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_said_without_saying_it(key: str, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLORIA_JUDGE_API_KEY", key)
    with pytest.raises(SetupError, match="GLORIA_JUDGE_API_KEY must be one line") as raised:
        run(out, NOWHERE)
    assert key not in str(raised.value)


def test_a_worker_that_died_leaves_its_answers_to_the_next(out: Path) -> None:
    """Verdicts that came after the job's first look are found by whoever takes the unit up again."""
    with AnsweringJudge() as judge:
        run(out, judge.url)
        asked = judge.requests.total()
        ledger.withdraw(str(out), Stage.REFINE, VIDEO)
        listed: dict[str, list[str]] = {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(verdict_parts, "names_by_video", lambda _: listed)
            run(out, judge.url)
        assert judge.requests.total() == asked


def test_a_model_that_is_not_served_ends_the_job_with_those_that_are(out: Path) -> None:
    with AnsweringJudge() as judge, pytest.raises(SetupError, match=MODEL):
        run(out, judge.url, model="another/model")


def test_a_film_that_is_gone_is_a_row_in_failures_until_it_is_back(out: Path) -> None:
    film = out.parent / "film.mp4"
    content = film.read_bytes()
    film.unlink()
    with AnsweringJudge() as judge:
        refined = run(out, judge.url)
        assert refined.waiting is not None
        assert refined.summary.failed == 2  # one per character
        failures = parts.read_parts(str(out), FAILURES).to_pylist()
        assert {(row["stage"], row["kind"]) for row in failures} == {("refine", "not_found")}
        assert all(str(film) in row["source"] for row in failures)
        assert statuses(out) == {"pending"}
        film.write_bytes(content)
        assert run(out, judge.url).waiting is None
    assert parts.read_parts(str(out), FAILURES).num_rows == 0
    assert statuses(out) == {"accepted"}


def test_nobody_is_asked_when_nothing_is_selected(tmp_path: Path) -> None:
    with AnsweringJudge() as judge:
        refined = run(tmp_path, judge.url)
        assert (refined.summary.done, refined.waiting, judge.requests.total()) == (0, None, 0)
