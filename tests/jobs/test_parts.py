"""Parts are found by name and read together whatever words their dictionaries hold."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from jobs import parts
from pipeline.failures import InputError
from schemas.table import TableSchemaError
from schemas.tables import SHOTS
from schemas.vocabulary import FailureKind


@pytest.fixture(params=["local", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path) if request.param == "local" else "memory://parts-test"
    fsspec.filesystem("memory").store.clear()


def shot(video_id: str, segment: int, starts_at: str) -> dict[str, object]:
    span = {"start_ns": segment, "end_ns": segment + 1, "frame_count": 1, "sampled_count": 1}
    return {"shot_id": f"{video_id}-{segment}", "video_id": video_id, "segment": segment, "starts_at": starts_at, "ends_at": "video", **span}


def test_parts_are_read_together_in_the_order_of_their_names(out: str) -> None:
    rows = [shot("b", 0, "seam"), shot("a", 1, "video"), shot("a", 0, "cut")]
    for row in rows:
        parts.write_part(out, SHOTS, parts.segment_part(str(row["video_id"]), int(str(row["segment"]))), SHOTS.from_rows([row]))
    assert parts.part_names(out, SHOTS) == ["a-s0000", "a-s0001", "b-s0000"]
    assert parts.part_names(out, SHOTS, "a-") == ["a-s0000", "a-s0001"]
    assert parts.read_parts(out, SHOTS).to_pylist() == rows[::-1]
    assert parts.read_parts(out, SHOTS, ["b-s0000"], ["starts_at"]).to_pylist() == [{"starts_at": "seam"}]


def test_no_parts_are_an_empty_table(out: str) -> None:
    assert parts.read_parts(out, SHOTS).schema.equals(SHOTS.columns, check_metadata=False)
    assert parts.read_parts(out, SHOTS, columns=["segment"]).column_names == ["segment"]


def test_a_part_that_is_not_there_or_no_part_is_said_so(out: str) -> None:
    with pytest.raises(InputError) as raised:
        parts.read_part(out, SHOTS, "nowhere")
    assert raised.value.kind is FailureKind.NOT_FOUND
    with pytest.raises(TableSchemaError):
        parts.write_part(out, SHOTS, "wrong", SHOTS.from_rows([shot("a", 0, "cut")]).drop_columns(["segment"]))
    assert parts.part_names(out, SHOTS) == []


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        parts.write_part(str(tmp_path / name), SHOTS, "a", SHOTS.from_rows([shot("a", number, "cut") for number in range(100)]))
    assert (tmp_path / "first/shots/a.parquet").read_bytes() == (tmp_path / "second/shots/a.parquet").read_bytes()
