"""Done means: a row with the present configuration and input. A row never vouches for parts that are being replaced."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs import ledger, parts
from jobs.ledger import DoneUnit
from pipeline import storage
from schemas.tables import OBSERVATIONS, SHOTS, TRACKS, UNITS, VIDEOS
from schemas.vocabulary import Stage

UNIT = DoneUnit(Stage.OBSERVE, "00aa", 1, 5, 9, "config", "input", {"segments": 3, "faces": 7}, {"decode": 0.5})


def touch(out: Path, table: str, part: str) -> Path:
    path = out / table / f"{part}.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    return path


def test_a_committed_unit_is_read_back_whole(tmp_path: Path) -> None:
    ledger.commit(str(tmp_path), UNIT)
    assert ledger.load(str(tmp_path), Stage.OBSERVE) == {"observe-00aa-s0001": UNIT}
    assert ledger.load(str(tmp_path), Stage.SELECT) == {}


def test_a_withdrawn_unit_is_not_done(tmp_path: Path) -> None:
    ledger.commit(str(tmp_path), UNIT)
    ledger.withdraw(str(tmp_path), Stage.OBSERVE, "00aa", 1)
    ledger.withdraw(str(tmp_path), Stage.OBSERVE, "00aa", 1)
    assert ledger.load(str(tmp_path), Stage.OBSERVE) == {}


@pytest.mark.parametrize("segments", [None, 3])
def test_retracting_a_segment_keeps_what_another_one_vouches_for(tmp_path: Path, segments: int | None) -> None:
    for segment in (0, 1):
        ledger.commit(str(tmp_path), replace(UNIT, segment=segment))
        for table in (OBSERVATIONS, SHOTS):
            touch(tmp_path, table.name, parts.segment_part("00aa", segment))
    video = touch(tmp_path, VIDEOS.name, "00aa")
    track = touch(tmp_path, TRACKS.name, "00aa")
    ledger.retract(str(tmp_path), Stage.OBSERVE, "00aa", 0, segments)
    assert sorted(path.name for path in tmp_path.rglob("*s000*")) == ["00aa-s0001.parquet", "00aa-s0001.parquet", "observe-00aa-s0001.parquet"]
    assert video.exists()
    ledger.retract(str(tmp_path), Stage.OBSERVE, "00aa", 1, segments)
    assert not video.exists()
    assert list(tmp_path.rglob("*.parquet")) == [track]  # another stage's


def test_retracting_many_videos_lists_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(folder: str, *_: object) -> list[str]:
        raise AssertionError(folder)

    video, track = touch(tmp_path, VIDEOS.name, "00aa"), touch(tmp_path, TRACKS.name, "00aa")
    monkeypatch.setattr(storage, "list_files", listed)
    for stage in (Stage.SELECT, Stage.REPORT):
        ledger.retract(str(tmp_path), stage, "00aa")
    ledger.retract(str(tmp_path), Stage.OBSERVE, "00aa", 0, segments=2)
    assert not video.exists()
    assert not track.exists()


def test_a_row_of_another_release_counts_as_not_done(tmp_path: Path) -> None:
    other = replace(UNITS, version=UNITS.version + 1)
    ledger.commit(str(tmp_path), UNIT)
    rows = parts.read_part(str(tmp_path), UNITS, UNIT.unit_id)
    parts.write_part(str(tmp_path), other, UNIT.unit_id, rows)
    assert ledger.load(str(tmp_path), Stage.OBSERVE) == {}


@pytest.mark.parametrize(
    ("segments", "hashes", "whole"),
    [((0, 1, 2), "aaa", True), ((0, 2), "aa", False), ((0, 1, 2, 3), "aaaa", False), ((0, 1, 2), "aab", False), ((), "", False)],
)
def test_a_video_is_whole_when_all_its_segments_were_done_alike(segments: tuple[int, ...], hashes: str, whole: bool) -> None:
    units = [replace(UNIT, segment=segment, config_hash=config) for segment, config in zip(segments, hashes, strict=True)]
    assert ledger.is_whole(units) is whole


def test_units_are_grouped_by_video_and_sorted_by_segment() -> None:
    units = [replace(UNIT, video_id=video, segment=segment) for video, segment in (("b", 1), ("a", 0), ("b", 0))]
    assert {video: [unit.segment for unit in found] for video, found in ledger.by_video(units).items()} == {"a": [0], "b": [0, 1]}


def test_hashes_depend_on_values_not_on_their_order() -> None:
    assert ledger.content_hash({"a": 1, "b": [1.5, None]}) == ledger.content_hash({"b": [1.5, None], "a": 1})
    assert ledger.content_hash({"a": 1}) != ledger.content_hash({"a": 2})
    hashes = {ledger.config_hash(stage, options) for stage in (Stage.OBSERVE, Stage.SELECT) for options in ({"x": 1}, {"x": 2})}
    assert len(hashes) == 4
