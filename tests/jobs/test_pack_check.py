"""``pack --check`` on a whole output root; what it finds within a shard is tested with pipeline.pack.check."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from jobs import parts
from jobs.engine import EngineOptions
from jobs.pack import pack
from jobs.pack_check import check, finished_videos
from jobs.progress import Progress
from jobs.stage import Job
from pipeline.pack.options import PackOptions
from schemas.tables import ANCHORS, CLIPS
from tests.barcode import Kind, write_video
from tests.jobs.pack_root import add_video, files, job_at, some_clips
from tests.pipeline.pack.rows import anchor_row


@pytest.fixture
def out(tmp_path: Path) -> Path:
    video = write_video(tmp_path / "video.mp4", Kind.CONSTANT, frames=60)
    add_video(tmp_path, video.path, some_clips("a", 2), [])
    return tmp_path


def test_an_output_root_that_was_not_packed(out: Path) -> None:
    assert check(job_at(out)) == [f"{out}/shards has no index.parquet: run pack"]


def test_all_is_well_until_a_byte_changes(out: Path) -> None:
    pack(job_at(out), PackOptions(preset="ultrafast"))
    said = io.StringIO()
    assert check(Job(str(out), EngineOptions(engine="local"), Progress(Console(file=said)))) == []
    assert "2 samples in 1 shard: all right" in said.getvalue()
    shard = out / "shards" / "shard-000000.tar"
    content = bytearray(shard.read_bytes())
    content[content.index(b"mdat") + 200 : content.index(b"mdat") + 260] = bytes(60)
    shard.write_bytes(content)
    said = io.StringIO()
    assert check(Job(str(out), EngineOptions(engine="local"), Progress(Console(file=said))))
    assert "all right" not in said.getvalue()


def test_tables_that_went_on_are_noticed(out: Path) -> None:
    pack(job_at(out), PackOptions(preset="ultrafast"))
    (video_id,) = finished_videos(str(out))
    clips = [some_clips("a", 3)[n] | {"video_id": video_id} for n in (1, 2)]
    parts.write_part(str(out), CLIPS, video_id, CLIPS.from_rows(clips))
    assert check(job_at(out)) == [
        "a-0: is in a shard, but not an accepted clip: run pack",
        "a-2: is an accepted clip, but neither in a shard nor among the failures: run pack",
    ]


def test_a_clip_that_waits_is_no_clip_that_was_forgotten(out: Path) -> None:
    pack(job_at(out), PackOptions(preset="ultrafast"))
    (video_id,) = finished_videos(str(out))
    rows = [clip | {"video_id": video_id} for clip in some_clips("a", 4)]
    rows[2] |= {"anchors_inside": 1, "character_id": "unjudged"}
    rows[3] |= {"anchors_inside": 1, "character_id": "judged"}
    parts.write_part(str(out), CLIPS, video_id, CLIPS.from_rows(rows))
    anchors = [
        anchor_row(f"{name}-{status}", 0, character_id=name, status=status, video_id=video_id)
        for name, status in (("unjudged", "pending"), ("judged", "pending"), ("judged", "accepted"))
    ]
    parts.write_part(str(out), ANCHORS, video_id, ANCHORS.from_rows(anchors))
    assert check(job_at(out)) == ["a-3: is an accepted clip, but neither in a shard nor among the failures: run pack"]


def test_an_index_that_is_none_is_named(out: Path) -> None:
    pack(job_at(out), PackOptions(preset="ultrafast"))
    (out / "shards" / "index.parquet").write_bytes(next((out / "clips").iterdir()).read_bytes())
    assert "is not the table 'shards' but 'clips'" in check(job_at(out))[0]


def test_checking_changes_nothing(out: Path) -> None:
    """What lies in the shards' folder may be another job's, which is still packing."""
    pack(job_at(out), PackOptions(preset="ultrafast"))
    foreign = [out / "shards" / name for name in (".staging/b-0123.tar", ".shard-000001.tar.0123.gloria-partial", "shard-000009.tar")]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    before = files(out)
    assert check(job_at(out)) == ["shard-000009.tar: is not in the index"]
    assert files(out) == before
    assert len([name for name in before if name.startswith("shards/")]) == 5
