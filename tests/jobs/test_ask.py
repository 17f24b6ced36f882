"""A worker asks about several characters at once through one client, keeps what comes, and lets go when it is told to."""

import pickle
import threading
from pathlib import Path

import pytest

from jobs import parts, verdict_parts
from jobs.ask import AskUnit, AskWork
from jobs.select import select
from pipeline.failures import InputError
from pipeline.refine.options import RefineOptions, ServerOptions
from pipeline.refine.prompting import load_prompts
from pipeline.select.ranking import RankingOptions
from pipeline.select.video import SelectOptions
from schemas.tables import CHARACTERS
from tests.jobs.answering_judge import MODEL, AnsweringJudge
from tests.jobs.drawn_root import quiet_job, two_people, write_film, write_observed
from tests.pipeline.drawn_observations import VIDEO


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_observed(tmp_path / "out", write_film(tmp_path), two_people())
    select(quiet_job(tmp_path / "out"), SelectOptions())
    return tmp_path / "out"


def units(out: Path) -> list[AskUnit]:
    film, names = str(out.parent / "film.mp4"), parts.read_part(str(out), CHARACTERS, VIDEO)["character_id"].to_pylist()
    return [AskUnit(film, VIDEO, name, 96, 64, ()) for name in names]


def work(out: Path, *urls: str) -> AskWork:
    server = ServerOptions(urls, patience_minutes=0.005, connect_seconds=0.5)
    made = AskWork(str(out), RefineOptions(server=server), RankingOptions(), MODEL, load_prompts(), "secret-key")
    made.setup()
    return made


def test_what_is_asked_is_answered_kept_and_counted(out: Path) -> None:
    with AnsweringJudge() as judge:
        asking = work(out, judge.url)
        results = [asking(unit) for unit in units(out)]
        asking.close()
        questions = sum(result.counts["questions"] for result in results)
        assert questions == judge.answered.total() > 20
    assert sum(result.counts["answers"] for result in results) == questions
    names = verdict_parts.names_by_video(str(out))[VIDEO]
    assert names == [unit.character_id for unit in units(out)]  # merged
    assert len(verdict_parts.read(str(out), names)) == questions


def test_a_judge_that_is_gone_is_told_and_fails_no_unit(out: Path) -> None:
    with AnsweringJudge() as judge:
        asking = work(out, judge.url)
        judge.stop()
        assert judge.url.removesuffix("/v1") in (asking(units(out)[0]).gone or "")
        asking.close()


def test_frames_that_cannot_be_read_are_told_and_clear_nothing_of_what_is_known(out: Path) -> None:
    (out.parent / "film.mp4").write_bytes(b"no film any more")
    with AnsweringJudge() as judge:
        asking = work(out, judge.url)
        result = asking(units(out)[0])
        asking.close()
        assert judge.requests.total() == 0
    assert isinstance(result.unreadable, InputError)
    problems = {verdict.problem for verdict in verdict_parts.read(str(out), verdict_parts.names_by_video(str(out))[VIDEO]).values()}
    assert [str(problem) for problem in problems] == ["no_picture"]


def test_closing_lets_go_of_questions_under_way(out: Path) -> None:
    with AnsweringJudge(hold_after=0) as judge:
        asking = work(out, judge.url)
        raised: list[BaseException] = []

        def ask() -> None:
            try:
                asking(units(out)[0])
            except InputError as error:
                raised.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert judge.held.wait(60)
        asking.close()
        thread.join(60)
        assert not thread.is_alive()
    assert "stopped" in str(raised[0])


def test_the_key_travels_but_is_not_shown(out: Path) -> None:
    asking = AskWork(str(out), RefineOptions(), RankingOptions(), MODEL, load_prompts(), "secret-key")
    assert "secret-key" not in repr(asking)
    assert pickle.loads(pickle.dumps(asking)).key == "secret-key"
    assert asking.units_at_once == RefineOptions().characters_at_once
