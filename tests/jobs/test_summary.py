"""The numbers at the end are those of the tables."""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from jobs import ledger, parts
from jobs.failure_log import FailureLog
from jobs.ledger import DoneUnit
from jobs.select import select
from jobs.stage import StageSummary
from jobs.summary import print_summary, selection_hash, totals
from pipeline.failures import InputError
from pipeline.select.video import SelectOptions
from schemas.tables import ANCHORS, CLIPS
from schemas.vocabulary import FailureKind, Stage
from tests.jobs.drawn_root import SECONDS, quiet_job, two_people, write_film, write_observed


def test_totals_add_up_to_the_tables(tmp_path: Path) -> None:
    out = tmp_path / "out"
    drawn = two_people()
    write_observed(out, write_film(tmp_path), drawn)
    select(quiet_job(out), SelectOptions())
    FailureLog(str(out), Stage.PLAN).record("/films/b.mp4", InputError(FailureKind.NOT_FOUND, "gone"))
    held = totals(str(out), list(ledger.load(str(out), Stage.SELECT).values()))
    assert (held["videos"], held["hours"], held["characters"]) == (1, round(SECONDS / 3600, 4), 2)
    assert held["observations"] == len(drawn.rows)
    anchors = parts.read_parts(str(out), ANCHORS).to_pylist()
    bins = Counter("/".join(filter(None, (row["kind"], row["subclass"]))) for row in anchors if row["status"] == "accepted")
    assert held["anchors per bin"] == bins
    assert held["anchors"] == bins.total()
    assert held["clips"] == parts.read_parts(str(out), CLIPS)["status"].to_pylist().count("accepted")
    assert sum(number for name, number in held["dropped"].items() if name.startswith("global/")) == len(drawn.rows) - bins["global"]
    assert held["failures"] == {"plan/not_found": 1}
    assert (held["shards"], held["samples"]) == (0, 0)


def test_after_judging_the_judged_numbers_count(tmp_path: Path) -> None:
    selected = [DoneUnit(Stage.SELECT, video, 0, 0, 1, "c0", "i0", {"anchors": 3, "anchors/global": 3}) for video in ("a", "b")]
    counts = {"anchors": 1, "pending": 1, "anchors/global": 1, "pending/global": 1, "captions": 2, "questions left": 1}
    held = totals(str(tmp_path), selected, [DoneUnit(Stage.REFINE, "b", 0, 0, 1, "c0", "i0", counts)])
    assert (held["anchors"], held["pending"], held["captions"]) == (4, 1, 2)
    assert (held["anchors per bin"], held["pending per bin"]) == ({"global": 4}, {"global": 1})
    assert "questions left" not in held


def test_an_empty_root_holds_nothing(tmp_path: Path) -> None:
    held = totals(str(tmp_path), [])
    assert held["videos"] == held["shards"] == 0
    assert held["failures"] == {}


def test_the_summary_says_what_was_done_how_fast_and_what_there_is() -> None:
    stream = io.StringIO()
    summary = StageSummary(Stage.OBSERVE, done=3, skipped=2, failed=1, media_seconds=600.0, wall_seconds=60.0, seconds={"decode": 20.0, "faces": 30.0})
    print_summary(Console(file=stream, width=120), [summary], {"videos": 5, "hours": 1.5, "dropped": {"blurred": 7}, "failures": {}}, ["shards are old"])
    text = stream.getvalue()
    for words in ("observe", "10.0", "faces 30.0, decode 20.0", "1:30:00", "blurred: 7", "none", "shards are old"):
        assert words in text


def test_the_hash_of_the_selection_is_that_of_its_units_in_any_order() -> None:
    units = [DoneUnit(Stage.SELECT, video, 0, 0, 1, "c0", "i0", {"clips": 1}) for video in ("a", "b")]
    own = selection_hash(units)
    assert selection_hash(units[::-1]) == own
    judged, judged_on = (DoneUnit(Stage.REFINE, "a", 0, 0, 1, "c0", "i0", {"pending": pending}) for pending in (3, 0))
    assert len({own, selection_hash(units, [judged]), selection_hash(units, [judged_on])}) == 3
    assert own not in {selection_hash(units[:1]), selection_hash([units[0], replace(units[1], config_hash="c1")])}
