"""An output root as observe leaves it, of a video in which two people who do not exist are seen."""

import io
from pathlib import Path

from rich.console import Console

from jobs import ledger, parts
from jobs.engine import EngineOptions
from jobs.ledger import DoneUnit
from jobs.progress import Progress
from jobs.stage import Job
from pipeline.video.index import read_index
from schemas.tables import OBSERVATIONS, SHOTS, VIDEOS
from schemas.vocabulary import Expression, Stage
from tests.barcode import write_video
from tests.pipeline.drawn_observations import VIDEO, DrawnVideo

SECONDS = 24
FRAME_NS = 40_000_000
"""The film's frames are 40 ms apart: people are seen in frames that it has."""
SEAM = 12
"""Seconds at which the second segment starts."""


def quiet_job(out: Path) -> Job:
    return Job(str(out), EngineOptions(engine="local"), Progress(Console(file=io.StringIO())))


def two_people() -> DrawnVideo:
    """One laughs in between and looks aside, the other is seen in the second segment too."""
    drawn = DrawnVideo()
    first, second = drawn.shot(0, SEAM), drawn.shot(SEAM, SECONDS, segment=1)
    drawn.appear(first, 0, expression=lambda time: Expression.HAPPY if 4 < time < 7 else Expression.NEUTRAL)
    drawn.appear(second, 0, yaw=lambda time: -80.0 if time > 18 else 0.0)
    drawn.appear(second, 1)
    return drawn


def write_film(folder: Path) -> Path:
    """A video as long as what is drawn, with frames at every time that was observed."""
    return write_video(folder / "film.mp4", frames=SECONDS * 25, width=96, height=64).path


def write_observed(out: Path, film: Path, drawn: DrawnVideo, config: str = "c0") -> None:
    """Parts and ledger of both segments."""
    row = read_index(str(film)).row() | {"video_id": VIDEO}
    parts.write_part(str(out), VIDEOS, VIDEO, VIDEOS.from_rows([row]))
    for segment, (start, end) in enumerate(((0, SEAM), (SEAM, SECONDS))):
        shots = [shot for shot in drawn.shots if shot["segment"] == segment]
        rows = [row | {"pts_ns": row["pts_ns"] // FRAME_NS * FRAME_NS} for row in drawn.rows if row["shot_id"] in {shot["shot_id"] for shot in shots}]
        part = parts.segment_part(VIDEO, segment)
        parts.write_part(str(out), SHOTS, part, SHOTS.from_rows(shots))
        parts.write_part(str(out), OBSERVATIONS, part, OBSERVATIONS.from_rows(rows))
        counts = {"segments": 2, "observations": len(rows)}
        ledger.commit(str(out), DoneUnit(Stage.OBSERVE, VIDEO, segment, int(start * 1e9), int(end * 1e9), config, VIDEO, counts, {"decode": 1.5}))
