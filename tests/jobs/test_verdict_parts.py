"""Every verdict is found once, whenever one looks: while a character is asked about, after a kill, and when all is one part."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from jobs import parts, verdict_parts
from jobs.verdict_parts import CharacterVerdicts
from pipeline.refine.verdicts import Verdict
from schemas.tables import VERDICTS
from schemas.vocabulary import PendingReason
from tests.pipeline.refine.test_verdicts import ANSWERED

VIDEO = "00aa"
ANNA, BEN = f"{VIDEO}-c00", f"{VIDEO}-c01"


def verdict(name: str, character_id: str = ANNA, problem: PendingReason | None = None) -> Verdict:
    return replace(ANSWERED, verdict_id=name, video_id=VIDEO, character_id=character_id, problem=problem)


def names(out: Path) -> list[str]:
    return parts.part_names(str(out), VERDICTS)


def held(out: Path) -> dict[str, Verdict]:
    return verdict_parts.read(str(out), verdict_parts.names_by_video(str(out))[VIDEO])


def test_a_verdict_is_there_the_moment_it_is_kept_and_stays_when_parts_are_merged(tmp_path: Path) -> None:
    verdicts = CharacterVerdicts(str(tmp_path), ANNA, {}, [])
    for name in ("v1", "v2"):
        verdicts.keep(verdict(name))
        assert name in held(tmp_path)
    assert names(tmp_path) == [f"{ANNA}-v1", f"{ANNA}-v2"]
    verdicts.merge()
    assert names(tmp_path) == [ANNA]
    assert held(tmp_path) == {name: verdict(name) for name in ("v1", "v2")}


def test_what_a_killed_job_left_is_taken_up_and_other_characters_are_left_alone(tmp_path: Path) -> None:
    CharacterVerdicts(str(tmp_path), ANNA, {}, []).keep(verdict("v1"))
    CharacterVerdicts(str(tmp_path), BEN, {}, []).keep(verdict("v9", BEN))
    again = CharacterVerdicts(str(tmp_path), ANNA, held(tmp_path), names(tmp_path))
    assert set(again.final) == {"v1", "v9"}
    again.keep(verdict("v2"))
    again.merge()
    assert names(tmp_path) == [ANNA, f"{BEN}-v9"]
    assert set(held(tmp_path)) == {"v1", "v2", "v9"}


def test_what_brought_no_answer_is_asked_again_and_replaced(tmp_path: Path) -> None:
    first = CharacterVerdicts(str(tmp_path), ANNA, {}, [])
    first.keep(verdict("v1", problem=PendingReason.TIMED_OUT))
    first.keep(verdict("v2", problem=PendingReason.INVALID_JSON))
    first.merge()
    second = CharacterVerdicts(str(tmp_path), ANNA, held(tmp_path), names(tmp_path))
    assert set(second.final) == {"v2"}
    later = replace(verdict("v1"), answered_at=verdict("v1").answered_at + timedelta(seconds=1))
    second.keep(later)
    assert held(tmp_path)["v1"] == later  # the old one is still in the merged part
    second.merge()
    assert names(tmp_path) == [ANNA]
    assert held(tmp_path)["v1"] == later


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    first = CharacterVerdicts(str(tmp_path), ANNA, {}, [])
    first.keep(verdict("v1"))
    first.merge()
    before = (tmp_path / "verdicts" / f"{ANNA}.parquet").stat().st_mtime_ns
    CharacterVerdicts(str(tmp_path), ANNA, held(tmp_path), names(tmp_path)).merge()
    assert (tmp_path / "verdicts" / f"{ANNA}.parquet").stat().st_mtime_ns == before


def test_a_part_that_another_worker_has_just_merged_is_no_error(tmp_path: Path) -> None:
    assert verdict_parts.read(str(tmp_path), [f"{BEN}-gone"]) == {}


@pytest.mark.parametrize("name", [ANNA, f"{ANNA}-v1"])
def test_a_part_names_its_character(name: str) -> None:
    assert verdict_parts.character_of(name) == ANNA
