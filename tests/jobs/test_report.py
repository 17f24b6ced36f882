"""Sheets are drawn once per selection and refining, the page whenever anything on it changes, and nothing stale stays behind."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest
from PIL import Image

from jobs import ledger, parts, verdict_parts
from jobs.ledger import DoneUnit
from jobs.report import report
from jobs.select import select
from pipeline import storage
from pipeline.refine.verdicts import Verdict, verdict_rows
from pipeline.report import ReportOptions
from pipeline.select.video import SelectOptions
from schemas.tables import ANCHORS, CHARACTERS, FAILURES, SHOTS, VERDICTS, VIDEOS
from schemas.vocabulary import Stage
from tests.jobs.drawn_root import quiet_job, two_people, write_film, write_observed
from tests.pipeline.drawn_observations import VIDEO
from tests.pipeline.report.drawn_tables import problem, verdict

OPTIONS = ReportOptions()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("film"))


@pytest.fixture
def out(tmp_path: Path, film: Path) -> Path:
    write_observed(tmp_path, film, two_people())
    select(quiet_job(tmp_path), SelectOptions())
    return tmp_path


def sheets(out: Path) -> list[str]:
    return sorted(path.stem for path in (out / "report" / "characters").glob("*.png"))


def times(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (out / "report").rglob("*") if path.is_file()}


def test_every_character_has_a_sheet_and_is_on_the_page(out: Path) -> None:
    summary = report(quiet_job(out), OPTIONS)
    assert (summary.done, summary.counts["sheets"]) == (2, 2)  # the video's sheets, and the page
    characters = parts.read_part(str(out), CHARACTERS, VIDEO)["character_id"].to_pylist()
    assert sheets(out) == sorted(characters)
    page = (out / "report" / "index.html").read_text()
    assert all(character in page for character in characters)
    assert not re.search(r'src="(?!data:)', page)  # self-contained
    for picture in (out / "report").rglob("*.png"):
        Image.open(picture).verify()


def test_characters_without_anchors_come_last_on_the_page(out: Path) -> None:
    anchors = parts.read_part(str(out), ANCHORS, VIDEO)
    first, second = sorted(parts.read_part(str(out), CHARACTERS, VIDEO)["character_id"].to_pylist())
    parts.write_part(str(out), ANCHORS, VIDEO, anchors.filter(pc.equal(anchors["character_id"], second)))
    report(quiet_job(out), OPTIONS)
    shown = re.findall(r"</a><b>(.*?)</b>.*?(no anchors|\d+ anchors?) ·", (out / "report" / "index.html").read_text())
    assert [name for name, _ in shown] == [second, first]
    assert shown[1][1] == "no anchors" != shown[0][1]


def test_nothing_is_drawn_again_when_nothing_changed(out: Path) -> None:
    report(quiet_job(out), OPTIONS)
    before = times(out)
    summary = report(quiet_job(out), OPTIONS)
    assert (summary.done, summary.skipped) == (0, 1)
    assert times(out) == before


def test_an_option_of_the_page_alone_leaves_the_sheets(out: Path) -> None:
    report(quiet_job(out), OPTIONS)
    before = times(out)
    assert report(quiet_job(out), replace(OPTIONS, embedded=1)).done == 1
    changed = {Path(name).name for name, time in times(out).items() if before[name] != time}
    assert "index.html" in changed
    assert not changed & {f"{sheet}.png" for sheet in sheets(out)}


@pytest.mark.parametrize("gone", ["index.html", "bins.png", "state.json"])
def test_a_page_or_figure_that_is_gone_is_made_again_and_said_to_be(out: Path, gone: str) -> None:
    report(quiet_job(out), OPTIONS)
    before = times(out)
    (out / "report" / gone).unlink()
    assert report(quiet_job(out), OPTIONS).done == 1
    assert times(out).keys() == before.keys()


def test_a_sheet_that_is_gone_is_drawn_again(out: Path) -> None:
    report(quiet_job(out), OPTIONS)
    before = sheets(out)
    (out / "report" / "characters" / f"{before[0]}.png").unlink()
    summary = report(quiet_job(out), OPTIONS)
    assert (summary.done, summary.skipped, sheets(out)) == (1, 0, before)


def refine(out: Path, **counts: int) -> list[str]:
    """What a judge leaves that was asked about the first character's expression: the first accepted one of it waits. The characters' ids."""
    rows = parts.read_part(str(out), ANCHORS, VIDEO).to_pylist()
    (name, *others) = sorted({row["character_id"] for row in rows if row["status"] == "accepted"})
    (first, *_) = (row for row in rows if row["status"] == "accepted" and row["kind"] == "expression" and row["character_id"] == name)
    first |= {"status": "pending", "reason": "not_asked", "decision": "pending"}
    parts.write_part(str(out), ANCHORS, VIDEO, ANCHORS.from_rows(rows))
    ledger.commit(str(out), DoneUnit(Stage.REFINE, VIDEO, 0, 0, 1, "config", "input", counts))
    return [name, *others]


def answer(out: Path, part: str, *answers: Verdict) -> None:
    parts.write_part(str(out), VERDICTS, part, verdict_rows(answers))


def test_sheets_and_page_are_made_again_when_anchors_were_judged(out: Path) -> None:
    report(quiet_job(out), OPTIONS)
    before = {sheet: (out / "report" / "characters" / f"{sheet}.png").read_bytes() for sheet in sheets(out)}
    name, *others = refine(out)
    assert report(quiet_job(out), OPTIONS).done == 2
    after = {sheet: (out / "report" / "characters" / f"{sheet}.png").read_bytes() for sheet in sheets(out)}
    assert after[name] != before[name]
    assert all(after[other] == before[other] for other in others)
    page = (out / "report" / "index.html").read_text()
    assert "<b>1</b>pending anchors" in page
    assert re.search(rf"<b>{name}</b>.*? anchors?, 1 pending ·", page)
    assert report(quiet_job(out), OPTIONS).done == 0


def test_a_judge_that_was_asked_further_is_told_by_the_ledgers_counts(out: Path) -> None:
    refine(out, verdicts=1)
    report(quiet_job(out), OPTIONS)
    refine(out, verdicts=1)
    assert report(quiet_job(out), OPTIONS).done == 0
    refine(out, verdicts=2)
    assert report(quiet_job(out), OPTIONS).done == 2


def test_every_verdict_counts_once_in_however_many_parts_it_lies(out: Path) -> None:
    name, *_ = refine(out)
    answer(out, name, verdict(1), problem(2))
    answer(out, f"{name}-{verdict(1).verdict_id}", verdict(1))
    answer(out, f"{name}-{verdict(2).verdict_id}", verdict(2, answered_at=datetime(2026, 1, 2, tzinfo=UTC)))  # was asked again
    answer(out, f"{name}-{verdict(3).verdict_id}", verdict(3))
    answer(out, "ffffffffffffffff-c00", verdict(4))  # of a video that is no more
    report(quiet_job(out), OPTIONS)
    page = (out / "report" / "index.html").read_text()
    assert "<b>3</b>questions" in page
    assert "<b>3</b>answered" in page


def add_empty_video(out: Path, video_id: str) -> None:
    """A second video, in which nobody is seen."""
    row = parts.read_part(str(out), VIDEOS, VIDEO).to_pylist()[0] | {"video_id": video_id}
    parts.write_part(str(out), VIDEOS, video_id, VIDEOS.from_rows([row]))
    parts.write_part(str(out), SHOTS, parts.segment_part(video_id, 0), SHOTS.empty())
    for table in parts.VIDEO_TABLES[Stage.SELECT]:
        parts.write_part(str(out), table, video_id, table.empty())
    for stage in (Stage.OBSERVE, Stage.SELECT):
        ledger.commit(str(out), DoneUnit(stage, video_id, 0, 0, 1, "config", "input", {"segments": 1}))


def test_verdicts_are_listed_once_and_read_one_video_after_another(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = "e" * 16
    add_empty_video(out, other)
    for name in (f"{VIDEO}-c00", f"{VIDEO}-c01", f"{other}-c00"):
        answer(out, name, verdict(1))
    listed, read = [], []
    list_files, read_verdicts = storage.list_files, verdict_parts.read

    def remember_listing(uri: str, suffix: str = "") -> list[str]:
        listed.append(uri)
        return list_files(uri, suffix)

    def remember_reading(root: str, names: Sequence[str]) -> dict[str, Verdict]:
        read.append(sorted(names))
        return read_verdicts(root, names)

    monkeypatch.setattr(storage, "list_files", remember_listing)
    monkeypatch.setattr(verdict_parts, "read", remember_reading)
    report(quiet_job(out), OPTIONS)
    assert [uri for uri in listed if uri.endswith("verdicts")] == [str(out / "verdicts")]
    assert sorted(read) == sorted([[f"{VIDEO}-c00", f"{VIDEO}-c01"], [f"{other}-c00"]])


def test_the_judges_figure_is_there_as_long_as_there_are_verdicts(out: Path) -> None:
    figure = out / "report" / "verdicts.png"
    report(quiet_job(out), OPTIONS)
    assert not figure.exists()
    name, *_ = refine(out)
    answer(out, name, verdict(1))
    report(quiet_job(out), OPTIONS)
    assert figure.exists()
    assert "<h2>Judge</h2>" in (out / "report" / "index.html").read_text()
    figure.unlink()
    assert report(quiet_job(out), OPTIONS).done == 1
    assert figure.exists()
    (out / "verdicts" / f"{name}.parquet").unlink()
    refine(out, verdicts=0)
    report(quiet_job(out), OPTIONS)
    assert not figure.exists()
    assert "Judge" not in (out / "report" / "index.html").read_text()
    assert report(quiet_job(out), OPTIONS).done == 0


def test_sheets_of_characters_that_are_no_more_are_removed(out: Path) -> None:
    report(quiet_job(out), OPTIONS)
    nobody = replace(SelectOptions(), characters=replace(SelectOptions().characters, min_faces=10_000))
    select(quiet_job(out), nobody)
    assert report(quiet_job(out), OPTIONS).done == 2
    assert sheets(out) == []
    ledger.retract(str(out), Stage.SELECT, VIDEO)
    report(quiet_job(out), OPTIONS)
    assert ledger.load(str(out), Stage.REPORT) == {}


def test_sheets_that_nobody_vouches_for_are_removed(out: Path) -> None:
    report(quiet_job(out), OPTIONS)
    before = sheets(out)
    for name in (f"{VIDEO}-c99", "ffff-c00"):  # of a run that was killed, of a video that is no more
        (out / "report" / "characters" / f"{name}.png").write_bytes(b"")
    report(quiet_job(out), OPTIONS)
    assert sheets(out) == before


def test_a_video_that_is_gone_is_a_failure(out: Path, film: Path) -> None:
    away = film.rename(film.with_suffix(".away"))
    try:
        assert report(quiet_job(out), OPTIONS).failed == 1
    finally:
        away.rename(film)
    (row,) = parts.read_parts(str(out), FAILURES).to_pylist()
    assert (row["source"], row["stage"], row["kind"]) == (str(film), "report", "not_found")
    assert sheets(out) == []
    assert report(quiet_job(out), OPTIONS).done == 2
    assert parts.read_parts(str(out), FAILURES).num_rows == 0
