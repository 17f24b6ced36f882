"""What is done: one row per finished unit in ``units/``, written after everything else of the unit.

A unit is done when its row has the hash of the present configuration and of the present input. A unit that is done again loses its
row first: at no moment does a row vouch for parts that are being replaced.
"""

import hashlib
import json
import socket
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jobs import parts
from pipeline import storage
from schemas.table import TableVersionError
from schemas.tables import UNITS
from schemas.vocabulary import Stage


def content_hash(value: Any) -> str:
    """16 hex digits of the canonical JSON of a value: the same for equal values, whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def config_hash(stage: Stage, options: Mapping[str, Any]) -> str:
    """Hash of a stage's options and of the versions of the tables it writes: what it made before a change is made anew."""
    written = [*parts.SEGMENT_TABLES.get(stage, ()), *parts.VIDEO_TABLES.get(stage, ())]
    return content_hash({"stage": stage, "options": options, "tables": {table.name: table.version for table in written}})


@dataclass(frozen=True)
class DoneUnit:
    """A row of the ledger.

    Attributes:
        stage: which stage did it.
        video_id: of which video.
        segment: number of the segment; 0 for stages that take a whole video.
        start_ns: span of the segment.
        end_ns: span of the segment, exclusive.
        config_hash: of the stage's configuration.
        input_hash: of what it was computed from.
        counts: how many of what.
        seconds: wall-clock seconds by step.
    """

    stage: Stage
    video_id: str
    segment: int
    start_ns: int
    end_ns: int
    config_hash: str
    input_hash: str
    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def unit_id(self) -> str:
        """Stage, video and segment; also the name of the row's part."""
        return unit_id(self.stage, self.video_id, self.segment)

    @property
    def fingerprint(self) -> tuple[str, str, str]:
        """What it is and what it was made from."""
        return self.unit_id, self.config_hash, self.input_hash


def unit_id(stage: Stage, video_id: str, segment: int = 0) -> str:
    """The key of a unit's row."""
    return f"{stage}-{parts.segment_part(video_id, segment)}"


def commit(out: str, unit: DoneUnit) -> None:
    """Write a unit's row. The last thing that is done for a unit."""
    row = vars(unit) | {"unit_id": unit.unit_id, "stage": str(unit.stage), "host": socket.gethostname(), "finished_at": datetime.now(UTC)}
    parts.write_part(out, UNITS, unit.unit_id, UNITS.from_rows([row]))


def withdraw(out: str, stage: Stage, video_id: str, segment: int = 0) -> None:
    """Remove a unit's row, if it has one. The first thing that is done for a unit."""
    parts.remove_part(out, UNITS, unit_id(stage, video_id, segment))


def retract(out: str, stage: Stage, video_id: str, segment: int = 0, segments: int | None = None) -> None:
    """Remove a unit's row, then its parts; a part that stands for the whole video only when no other segment vouches for it.

    Args:
        out: the output root.
        stage: of the unit.
        video_id: of the unit.
        segment: of the unit.
        segments: how many the video may have rows of, where that is known: asking for each is quicker than listing every video's.
    """
    withdraw(out, stage, video_id, segment)
    for table in parts.SEGMENT_TABLES.get(stage, ()):
        parts.remove_part(out, table, parts.segment_part(video_id, segment))
    if not _vouched(out, stage, video_id, segments):
        for table in parts.VIDEO_TABLES.get(stage, ()):
            parts.remove_part(out, table, video_id)


def _vouched(out: str, stage: Stage, video_id: str, segments: int | None) -> bool:
    """Whether any segment of a video has a row. A stage that takes whole videos has no other than the one that was withdrawn."""
    if stage not in parts.SEGMENT_TABLES:
        return False
    if segments is None:
        return bool(parts.part_names(out, UNITS, f"{stage}-{video_id}-"))
    return any(storage.exists(parts.part_uri(out, UNITS, unit_id(stage, video_id, segment))) for segment in range(segments))


def load(out: str, stage: Stage) -> dict[str, DoneUnit]:
    """The ledger of a stage by unit_id. Rows of another release's version count as not done."""
    with ThreadPoolExecutor(parts.READERS) as pool:
        rows = pool.map(lambda name: _read(out, name), parts.part_names(out, UNITS, f"{stage}-"))
        return {unit.unit_id: unit for unit in rows if unit}


def by_video(units: Iterable[DoneUnit]) -> dict[str, list[DoneUnit]]:
    """The units of each video, by segment."""
    grouped: dict[str, list[DoneUnit]] = defaultdict(list)
    for unit in sorted(units, key=lambda unit: (unit.video_id, unit.segment)):
        grouped[unit.video_id].append(unit)
    return dict(grouped)


def is_whole(units: list[DoneUnit]) -> bool:
    """Whether a video's units, sorted by segment, are all there are and were made with one configuration."""
    numbers = [unit.segment for unit in units]
    return bool(units) and numbers == list(range(units[0].counts["segments"])) and len({unit.config_hash for unit in units}) == 1


def _read(out: str, name: str) -> DoneUnit | None:
    try:
        (row,) = parts.read_part(out, UNITS, name).to_pylist(maps_as_pydicts="strict")
    except TableVersionError:
        return None
    return DoneUnit(**{key: row[key] for key in DoneUnit.__dataclass_fields__} | {"stage": Stage(row["stage"])})
