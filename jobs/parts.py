"""The parquet parts below an output root: what they are called, and how they are written, read and taken back.

A part holds the rows of one unit of work: ``observations/<video_id>-s0002.parquet`` those of a video's third segment,
``anchors/<video_id>.parquet`` those of a video.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pyarrow as pa

from pipeline import storage
from schemas import tables
from schemas.table import Table, read_table, write_table
from schemas.vocabulary import Stage

READERS = 16
"""Parts that are read at the same time; on object stores each takes some tens of milliseconds of waiting."""

SEGMENT_TABLES: dict[Stage, tuple[Table, ...]] = {Stage.OBSERVE: (tables.OBSERVATIONS, tables.SHOTS)}
"""Tables of which a stage writes one part per segment."""

VIDEO_TABLES: dict[Stage, tuple[Table, ...]] = {
    Stage.OBSERVE: (tables.VIDEOS,),
    Stage.SELECT: (tables.TRACKS, tables.CHARACTERS, tables.ANCHORS, tables.CLIPS),
}
"""Tables of which a stage writes one part per video."""


def segment_part(video_id: str, segment: int) -> str:
    """The name of a segment's part."""
    return f"{video_id}-s{segment:04d}"


def part_uri(out: str, table: Table, part: str) -> str:
    """Where a part lies."""
    return storage.join(out, table.name, f"{part}.parquet")


def part_names(out: str, table: Table, prefix: str = "") -> list[str]:
    """The names of the parts of a table that begin with ``prefix``, sorted."""
    names = (storage.file_name(uri).removesuffix(".parquet") for uri in storage.list_files(storage.join(out, table.name), ".parquet"))
    return [name for name in names if name.startswith(prefix)]


def write_part(out: str, table: Table, part: str, rows: pa.Table) -> None:
    """Write a part, replacing the one of that name; raises TableSchemaError, or InputError when the storage fails."""
    storage.write_atomic(part_uri(out, table, part), lambda file: write_table(table, rows, file))


def read_part(out: str, table: Table, part: str, columns: list[str] | None = None) -> pa.Table:
    """Read a part; raises TableVersionError, TableSchemaError, or InputError when it is not there."""
    uri = part_uri(out, table, part)
    if path := storage.local_path(uri):
        with storage.open_read(uri):  # a missing file is the same error everywhere
            return read_table(table, str(path), columns)
    return read_table(table, BytesIO(storage.read_bytes(uri)), columns)


def read_parts(out: str, table: Table, parts: Iterable[str] | None = None, columns: list[str] | None = None) -> pa.Table:
    """The rows of several parts (all when None), in the order of the parts' names."""
    names = sorted(parts) if parts is not None else part_names(out, table)
    with ThreadPoolExecutor(READERS) as pool:
        read = list(pool.map(lambda name: read_part(out, table, name, columns), names))
    if not read:
        return table.empty().select(columns) if columns else table.empty()
    return pa.concat_tables(read).unify_dictionaries()


def remove_part(out: str, table: Table, part: str) -> None:
    """Remove a part; one that is not there is fine."""
    storage.remove(part_uri(out, table, part))
