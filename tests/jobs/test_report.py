"""Sheets are drawn once per selection, the page whenever anything on it changes, and nothing stale stays behind."""

import re
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest
from PIL import Image

from jobs import ledger, parts
from jobs.report import report
from jobs.select import select
from pipeline.report import ReportOptions
from pipeline.select.video import SelectOptions
from schemas.tables import ANCHORS, CHARACTERS, FAILURES
from schemas.vocabulary import Stage
from tests.jobs.drawn_root import quiet_job, two_people, write_film, write_observed
from tests.pipeline.drawn_observations import VIDEO

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
