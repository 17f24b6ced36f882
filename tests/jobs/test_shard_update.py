"""Shards are kept, filled and removed as samples come and go. That a killed job ends with the same is tested with ``pack`` and ``encode``."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from jobs.shard_update import Filling, present_shards, update_shards
from jobs.stage import StageSummary
from pipeline.pack import shards as shard_files
from schemas.vocabulary import Stage
from tests.jobs.pack_root import files, job_at
from tests.pipeline.pack.made_samples import made_sample

NOTE = b"note"
FILLING = Filling(shard_bytes=50_000, seed=0, notes={NOTE: b"written with the index"})


def updated(out: Path, wanted: Mapping[str, str]) -> StageSummary:
    """Bring the shards in line with these samples, key to hash; those that are not there are made."""
    shards, summary = str(out / "shards"), StageSummary(Stage.PACK)
    present = present_shards(shards)
    held = present.samples()
    pieces = [shard_files.stage(shards, made_sample(key, sample_hash=made)) for key, made in wanted.items() if (key, made) not in held]
    rows = update_shards(job_at(out), shards, present, wanted, pieces, FILLING, summary)
    assert {row["key"]: row["sample_hash"] for row in rows} == wanted
    assert present_shards(shards).samples() == set(wanted.items())
    return summary


@pytest.fixture
def out(tmp_path: Path) -> Path:
    summary = updated(tmp_path, {"a": "1", "b": "1", "c": "1", "d": "1"})
    assert (summary.counts["shards written"], summary.counts["samples"]) == (2, 4)
    return tmp_path


def test_the_index_keeps_its_notes_and_the_next_number(out: Path) -> None:
    notes = shard_files.index_notes(str(out / "shards"))
    assert notes[NOTE] == b"written with the index"
    assert shard_files.next_number(str(out / "shards")) == 2
    assert shard_files.index_notes(str(out / "nowhere")) == {}


def test_what_is_in_line_is_left_alone(out: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    summary = updated(out, {"a": "1", "b": "1", "c": "1", "d": "1"})
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()} == before
    assert (summary.counts["shards kept"], summary.counts["shards written"], summary.counts["shards removed"]) == (2, 0, 0)


def test_a_shard_with_a_stale_sample_is_written_under_a_new_name_the_other_kept(out: Path) -> None:
    rows = {row["key"]: row["shard"] for row in shard_files.read_shard_index(str(out / "shards"))}
    before = files(out / "shards")
    summary = updated(out, {"a": "2", "b": "1", "c": "1", "d": "1"})
    after = files(out / "shards")
    assert rows["a"] not in after
    kept = ({"shard-000000.tar", "shard-000001.tar"} - {rows["a"]}).pop()
    assert after[kept] == before[kept]
    assert (summary.counts["shards kept"], summary.counts["shards written"], summary.counts["shards removed"]) == (1, 1, 1)


def test_shards_that_are_gone_or_cut_short_do_not_count(out: Path) -> None:
    rows = shard_files.read_shard_index(str(out / "shards"))
    shard = out / "shards" / rows[0]["shard"]
    shard.write_bytes(shard.read_bytes()[:-1])
    present = present_shards(str(out / "shards"))
    assert not present.intact
    assert {row["shard"] for row in present.rows} == {row["shard"] for row in rows} - {shard.name}
    assert not present_shards(str(out / "nowhere")).intact
