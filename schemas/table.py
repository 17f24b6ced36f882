"""A parquet table: its columns with a version in the file's metadata, one way to write it, one to read and check it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WORD = pa.dictionary(pa.int8(), pa.string())
NANOSECONDS = pa.int64()
BOX = pa.list_(pa.float32(), 4)
PROBABILITIES = pa.list_(pa.float32(), 8)
VECTOR = pa.list_(pa.float32())

TABLE_KEY = b"gloria.table"
VERSION_KEY = b"gloria.version"


class TableVersionError(ValueError):
    """A file was written with a schema that this release does not read."""


class TableSchemaError(ValueError):
    """A file, or rows about to be written, do not have the columns of the table they claim to be."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's name, version and columns.

    Attributes:
        name: also its folder below the output root.
        version: goes up by one whenever a column is added, removed or changes its meaning.
        key: the columns that identify a row; rows are written sorted by them.
        columns: the arrow schema, each field with a ``doc`` in its metadata.
    """

    name: str
    version: int
    key: tuple[str, ...]
    columns: pa.Schema

    @property
    def schema(self) -> pa.Schema:
        """The arrow schema with the table's name and version in the metadata."""
        return self.columns.with_metadata({TABLE_KEY: self.name.encode(), VERSION_KEY: str(self.version).encode()})

    def empty(self) -> pa.Table:
        """A table of this schema without rows."""
        return self.schema.empty_table()

    def from_rows(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows (mappings from column name to value) as a checked arrow table, sorted by key.

        Raises:
            TableSchemaError: a row has a column the table does not have, or lacks a required one, or a value does not fit.
        """
        rows = list(rows)
        names = set(self.columns.names)
        for row in rows:
            if unknown := set(row) - names:
                raise TableSchemaError(f"table {self.name!r} has no column {', '.join(sorted(unknown))}; it has {', '.join(self.columns.names)}")
        try:
            table = pa.Table.from_pylist(rows, schema=self.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TableSchemaError(f"table {self.name!r}: {error}") from error
        for field in self.columns:
            if not field.nullable and table[field.name].null_count:
                raise TableSchemaError(f"table {self.name!r}: column {field.name!r} must not be empty")
        return self.sort(table)

    def sort(self, rows: pa.Table) -> pa.Table:
        """Rows of this table sorted by key, so that equal content gives equal files."""
        plain = pa.table({name: _without_dictionary(rows[name]) for name in self.key})
        return rows.take(pc.sort_indices(plain, [(name, "ascending") for name in self.key]))


def _without_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def column(name: str, kind: pa.DataType, doc: str, optional: bool = False) -> pa.Field:
    """A column; ``doc``, a sentence, goes into the file's metadata."""
    return pa.field(name, kind, nullable=optional, metadata={b"doc": doc.encode()})


def write_table(table: Table, rows: pa.Table, file: BinaryIO) -> None:
    """Write rows of a table as parquet.

    Args:
        table: which table the rows are of.
        rows: made with ``table.from_rows``, or by any other way with the same columns.
        file: opened for writing bytes.

    Raises:
        TableSchemaError: the rows' columns are not the table's.
    """
    if not rows.schema.equals(table.columns, check_metadata=False):
        raise TableSchemaError(f"table {table.name!r} version {table.version} has the columns\n{table.columns}\nbut the rows have\n{rows.schema}")
    pq.write_table(rows.cast(table.schema), file, compression="zstd")


def read_table(table: Table, file: BinaryIO | str, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file and check that it is this table in this version.

    Args:
        table: which table is expected.
        file: opened for reading bytes, or a local path.
        columns: only these; all when None.

    Raises:
        TableVersionError: the file's table was written by an older or newer release; the message says which, and what to do.
        TableSchemaError: the file is not this table at all.
    """
    parquet = pq.ParquetFile(file)
    check_schema(table, parquet.schema_arrow, str(file if isinstance(file, str) else getattr(file, "name", "the file")))
    rows = parquet.read(columns=columns)
    # Parquet names the elements of lists and maps in its own way; the cast gives every reader the very same types.
    return rows.cast(pa.schema([table.schema.field(name) for name in rows.column_names], table.schema.metadata))


def check_schema(table: Table, schema: pa.Schema, source: str) -> None:
    """Raise when a parquet file's schema is not the table's; see read_table."""
    metadata = schema.metadata or {}
    name, version = metadata.get(TABLE_KEY, b"").decode(), metadata.get(VERSION_KEY, b"").decode()
    if name != table.name:
        raise TableSchemaError(f"{source} is not the table {table.name!r}" + (f" but {name!r}" if name else ": it was not written by this project"))
    if version != str(table.version):
        newer = version.isdigit() and int(version) > table.version
        remedy = "upgrade gloria-anchors to read it" if newer else "run the stage that writes it again, or read it with the release that wrote it"
        raise TableVersionError(f"{source}: table {name!r} has version {version}, this release reads version {table.version}; {remedy}")
    if not schema.equals(table.columns, check_metadata=False):
        raise TableSchemaError(f"{source}: the columns of {name!r} version {version} are not what they should be; the file was changed by another program")
