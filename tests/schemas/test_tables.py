import io

import pytest

from schemas.table import Table, read_table, write_table
from schemas.tables import TABLES


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_is_written_and_read_with_its_version(table: Table) -> None:
    file = io.BytesIO()
    write_table(table, table.empty(), file)
    file.seek(0)
    assert read_table(table, file).schema.equals(table.schema, check_metadata=True)


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_column_says_what_it_is_and_keys_are_columns(table: Table) -> None:
    assert set(table.key) <= set(table.columns.names)
    assert all(field.metadata[b"doc"] for field in table.columns)
