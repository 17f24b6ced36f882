"""What verdicts make of a video's rows; with none of them, everything that select chose waits."""

from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest

from jobs import ledger, parts
from jobs.apply import NO_JUDGE, ApplyWork, Judge, RefineUnit, apply
from jobs.select import select
from pipeline.refine.options import PictureOptions, PolicyOptions, RefineOptions, ServerOptions
from pipeline.refine.prompting import load_prompts
from pipeline.select.ranking import RankingOptions
from pipeline.select.video import SelectOptions
from schemas.tables import ANCHORS, CLIPS
from schemas.vocabulary import QuestionKind, Stage
from tests.jobs.drawn_root import quiet_job, two_people, write_film, write_observed
from tests.pipeline.drawn_observations import VIDEO

JUDGE = Judge(NO_JUDGE, load_prompts(), RefineOptions(), RankingOptions())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_observed(tmp_path / "out", write_film(tmp_path), two_people())
    select(quiet_job(tmp_path / "out"), SelectOptions())
    return tmp_path / "out"


def unit(out: Path) -> RefineUnit:
    (selection,) = ledger.load(str(out), Stage.SELECT).values()
    return RefineUnit("film.mp4", VIDEO, 96, 64, selection, "input")


def test_without_verdicts_all_that_was_chosen_waits_and_the_ledger_says_how_much(out: Path) -> None:
    chosen = unit(out).selection.counts["anchors"]
    result = ApplyWork(str(out), JUDGE)(unit(out))
    (row,) = ledger.load(str(out), Stage.REFINE).values()
    assert (row.counts["anchors"], row.counts["pending"], row.counts["captions"]) == (0, chosen, 0)
    assert row.counts["questions left"] > 0
    assert row.counts["captions pending"] == row.counts["clips"] > 0
    assert result.counts["pending"] == chosen
    anchors = parts.read_part(str(out), ANCHORS, VIDEO)
    assert set(anchors["reason"].cast("string").filter(pc.equal(anchors["status"].cast("string"), "pending")).to_pylist()) == {"not_asked"}


def test_applying_again_changes_nothing_and_no_row_is_lost(out: Path) -> None:
    anchors, clips = (parts.read_part(str(out), table, VIDEO) for table in (ANCHORS, CLIPS))
    once = apply(anchors, clips, unit(out), JUDGE, {})
    twice = apply(once.anchors, once.clips, unit(out), JUDGE, {})
    assert twice.anchors.equals(once.anchors)
    assert twice.clips.equals(once.clips)
    for rows, applied, key in zip((anchors, clips), (once.anchors, once.clips), ("anchor_id", "clip_id"), strict=True):
        assert applied[key].to_pylist() == rows[key].to_pylist()
        assert applied.select(["selected_status", "selected_reason"]).equals(rows.select(["selected_status", "selected_reason"]))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (replace(JUDGE, options=RefineOptions(server=ServerOptions(in_flight=99), characters_at_once=3)), True),
        (replace(JUDGE, options=RefineOptions(policy=PolicyOptions(relabel_below=0.0))), False),
        (replace(JUDGE, options=RefineOptions(pictures=PictureOptions(jpeg_quality=80))), False),
        (replace(JUDGE, ranking=RankingOptions(global_anchors=1)), False),
        (replace(JUDGE, model="another"), False),
        (replace(JUDGE, prompts={**JUDGE.prompts, QuestionKind.CAPTION: replace(JUDGE.prompts[QuestionKind.CAPTION], hash="0")}), False),
    ],
    ids=["server", "policy", "pictures", "ranking", "model", "prompt"],
)
def test_what_decides_is_in_the_hash_and_what_does_not_is_not(other: Judge, same: bool) -> None:
    assert (other.config_hash == JUDGE.config_hash) is same
