"""An output root with tables as observe and select leave them, for tests of what comes after."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from jobs import ledger, parts
from jobs.engine import EngineOptions
from jobs.ledger import DoneUnit
from jobs.progress import Progress
from jobs.stage import Job
from pipeline.video.index import read_index
from schemas.tables import ANCHORS, CLIPS, VIDEOS
from schemas.vocabulary import Stage
from tests.pipeline.pack.rows import SECOND, anchor_row, clip_row


def job_at(out: Path | str, engine: EngineOptions | None = None) -> Job:
    return Job(str(out), engine or EngineOptions(engine="local"), Progress(Console(file=StringIO())))


def add_video(out: Path | str, uri: Path, clips: Sequence[dict[str, Any]], anchors: Sequence[dict[str, Any]]) -> str:
    """Write the tables of one video; its video_id goes into every row."""
    index = read_index(str(uri))
    own = {"video_id": index.video_id}
    parts.write_part(str(out), VIDEOS, index.video_id, VIDEOS.from_rows([index.row()]))
    parts.write_part(str(out), CLIPS, index.video_id, CLIPS.from_rows([clip | own for clip in clips]))
    parts.write_part(str(out), ANCHORS, index.video_id, ANCHORS.from_rows([anchor | own for anchor in anchors]))
    ledger.commit(str(out), DoneUnit(Stage.SELECT, index.video_id, 0, index.start_ns, index.end_ns, "config", "input"))
    return index.video_id


def some_clips(name: str, count: int = 3) -> list[dict[str, Any]]:
    """Clips of 9 frames at 16 per second, one each second."""
    return [clip_row(f"{name}-{n}", n * SECOND, 9) for n in range(count)]


def some_anchors(name: str, pts_ns: Sequence[int]) -> list[dict[str, Any]]:
    """Front views at these times."""
    return [anchor_row(f"{name}-{time}", time, "viewpoint", "front") for time in pts_ns]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
