import io
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.table import VERSION_KEY, Table, TableSchemaError, TableVersionError, read_table, write_table
from schemas.tables import CLIPS, FAILURES


def failure(**changed: Any) -> dict[str, Any]:
    row = {
        "source": "a.mp4",
        "stage": "observe",
        "kind": "damaged",
        "message": "m",
        "attempt": 1,
        "config_hash": "0" * 16,
        "versions": {"av": "18"},
        "failed_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    return row | changed


def written(table: Table, rows: pa.Table) -> io.BytesIO:
    file = io.BytesIO()
    write_table(table, rows, file)
    file.seek(0)
    return file


def as_version(version: int) -> io.BytesIO:
    file = io.BytesIO()
    rows = FAILURES.from_rows([failure()])
    pq.write_table(rows.replace_schema_metadata({**rows.schema.metadata, VERSION_KEY: str(version).encode()}), file)
    file.seek(0)
    return file


def test_rows_come_out_sorted_by_key_and_readable_by_another_library(tmp_path: Any) -> None:
    path = tmp_path / "failures.parquet"
    path.write_bytes(written(FAILURES, FAILURES.from_rows([failure(source="b"), failure(source="a")])).getvalue())
    with duckdb.connect() as connection:
        found = connection.execute("select source, kind from read_parquet(?)", [str(path)]).fetchall()
    assert found == [("a", "damaged"), ("b", "damaged")]


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(TableSchemaError, match="no column colour"):
        FAILURES.from_rows([failure(colour="red")])


def test_a_missing_required_value_is_named() -> None:
    with pytest.raises(TableSchemaError, match="column 'message' must not be empty"):
        FAILURES.from_rows([failure(message=None)])


def test_a_value_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(TableSchemaError, match="failures"):
        FAILURES.from_rows([failure(attempt="often")])


def test_rows_of_another_table_are_not_written() -> None:
    with pytest.raises(TableSchemaError, match="'clips' version 2 has the columns"):
        write_table(CLIPS, FAILURES.empty(), io.BytesIO())


@pytest.mark.parametrize(("version", "remedy"), [(0, "run the stage that writes it again"), (2, "upgrade gloria-anchors")])
def test_a_reader_of_another_version_is_told_what_to_do(version: int, remedy: str) -> None:
    with pytest.raises(TableVersionError, match=remedy):
        read_table(FAILURES, as_version(version))


def test_another_table_is_called_by_its_name() -> None:
    with pytest.raises(TableSchemaError, match="not the table 'clips' but 'failures'"):
        read_table(CLIPS, written(FAILURES, FAILURES.empty()))


def test_a_foreign_parquet_file_is_refused() -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), file)
    file.seek(0)
    with pytest.raises(TableSchemaError, match="not written by this project"):
        read_table(CLIPS, file)


def test_a_file_with_changed_columns_is_refused() -> None:
    rows = FAILURES.empty()
    file = io.BytesIO()
    pq.write_table(rows.drop_columns(["message"]).replace_schema_metadata(FAILURES.schema.metadata), file)
    file.seek(0)
    with pytest.raises(TableSchemaError, match="changed by another program"):
        read_table(FAILURES, file)
