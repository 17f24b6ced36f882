"""Pictures of anchors are the frames they were observed in; read back by the model, they are what the table says they are."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.__main__ import main
from model.generate.anchor_pictures import read_anchors
from schemas.table import read_table
from schemas.tables import CHARACTER_ANCHORS
from tests.barcode import Written, read_number, write_video
from tests.jobs.pack_root import add_video
from tests.pipeline.pack.rows import anchor_row

FIRST, SECOND = "character", "other"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_video(tmp_path_factory.mktemp("video") / "v.mp4", frames=60, width=160, height=96)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, video: Written) -> Path:
    """Two characters; of the first some anchors of each kind, in no order, one rejected and one pending."""
    root = tmp_path_factory.mktemp("out")

    def row(frame: int, kind: str, subclass: str | None = None, rank: int | None = 0, **changes: object) -> dict[str, object]:
        return anchor_row(f"t-{frame}-{kind}", video.pts_ns[frame], kind, subclass, rank=rank, **changes)

    rows = [
        row(40, "viewpoint", "left", 1),
        row(10, "viewpoint", "left"),
        row(20, "global"),
        row(20, "expression", "happy", status="pending", reason="not_asked"),
        row(30, "expression", "happy", None, status="rejected", reason="blurred"),
        row(50, "global", character_id=SECOND),
        row(55, "global", character_id=None),
    ]
    add_video(root, video.path, [], rows)
    return root


def number(content: bytes) -> int:
    return read_number(np.asarray(Image.open(io.BytesIO(content))))


def test_a_file_holds_the_frames_at_the_anchors_times(out: Path, tmp_path: Path, video: Written, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "new" / "c.parquet"
    assert main(["anchors", "--out", str(out), "--character", FIRST, "--to", str(to)]) == 0
    rows = read_table(CHARACTER_ANCHORS, str(to)).to_pylist()
    found = {(row["kind"], row["subclass"], row["rank"]): number(row["picture"]) for row in rows}
    assert found == {("global", None, 0): 20, ("viewpoint", "left", 0): 10, ("viewpoint", "left", 1): 40}
    assert {(row["character_id"], row["width"], row["height"], row["score"]) for row in rows} == {(FIRST, 160, 96, 0.5)}
    assert all(row["pts_ns"] == video.pts_ns[number(row["picture"])] for row in rows)
    assert f"{FIRST}: global 1, viewpoint left 2 to {to}" in capsys.readouterr().out
    assert [read_number(anchor.rgb) for anchor in read_anchors(to)] == [20, 10, 40]


def test_a_folder_is_named_as_the_model_reads_it(out: Path, tmp_path: Path) -> None:
    to = tmp_path / "pictures"
    arguments = ["anchors", "--out", str(out), "--character", FIRST, "--include-pending", "--to", str(to)]
    assert main(arguments) == 0
    assert sorted(path.name for path in to.iterdir()) == ["expression-happy.jpg", "global.jpg", "viewpoint-left-1.jpg", "viewpoint-left.jpg"]
    assert [read_number(anchor.rgb) for anchor in read_anchors(to)] == [20, 10, 40, 20]
    assert main(arguments) == 2  # it has files now


def test_a_file_that_is_there_is_not_written_over(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "c.parquet"
    to.write_bytes(b"of somebody else")
    arguments = ["anchors", "--out", str(out), "--character", FIRST, "--to", str(to)]
    assert main(arguments) == 2
    assert f"{to} is there already and is not written over: name a new file with --to, or remove this one first" in capsys.readouterr().err
    assert to.read_bytes() == b"of somebody else"
    to.unlink()
    assert main(arguments) == 0
    written = to.read_bytes()
    assert main(arguments) == 2
    assert to.read_bytes() == written


def test_several_characters_are_listed(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["anchors", "--out", str(out)]) == 0
    listed = capsys.readouterr().out
    assert f"│ {FIRST} " in listed
    assert "global 1, viewpoint left 2" in listed
    assert "v.mp4" in listed
    for more, said in ([], "anchors of 2 characters: say with --character"), (["--character", "nobody"], "no anchors of nobody: say with --character"):
        assert main(["anchors", "--out", str(out), "--to", str(tmp_path / "x.parquet"), *more]) == 2
        captured = capsys.readouterr()
        assert said in captured.err
        assert f"│ {SECOND} " in captured.out
    assert list(tmp_path.iterdir()) == []


def test_a_single_character_needs_no_name_and_pending_ones_are_said(tmp_path: Path, video: Written, capsys: pytest.CaptureFixture[str]) -> None:
    add_video(tmp_path / "out", video.path, [], [anchor_row("a", video.pts_ns[3], status="pending", reason="not_asked")])
    arguments = ["anchors", "--out", str(tmp_path / "out"), "--to", str(tmp_path / "c.parquet")]
    assert main(arguments) == 1
    assert "1 wait for a judge; run refine, or take them too with --include-pending" in capsys.readouterr().err
    assert main([*arguments, "--include-pending"]) == 0
    assert [read_number(anchor.rgb) for anchor in read_anchors(tmp_path / "c.parquet")] == [3]


def test_nothing_there_and_frames_that_are_gone_are_said(tmp_path: Path, video: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["anchors", "--out", str(tmp_path / "nowhere")]) == 1
    assert "run observe and select first" in capsys.readouterr().err
    add_video(tmp_path / "out", video.path, [], [anchor_row("a", video.pts_ns[3] + 1000)])
    assert main(["anchors", "--out", str(tmp_path / "out"), "--to", str(tmp_path / "c.parquet")]) == 1
    assert "has no frame at" in capsys.readouterr().err
    assert not (tmp_path / "c.parquet").exists()
