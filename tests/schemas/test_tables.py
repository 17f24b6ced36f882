import io

import pytest

from schemas.table import Table, read_table, write_table
from schemas.tables import CHARACTER_ANCHORS, TABLES


@pytest.mark.parametrize("table", [*TABLES.values(), CHARACTER_ANCHORS], ids=lambda table: table.name)
def test_every_table_is_written_and_read_with_its_version(table: Table) -> None:
    file = io.BytesIO()
    write_table(table, table.empty(), file)
    file.seek(0)
    assert read_table(table, file).schema.equals(table.schema, check_metadata=True)


@pytest.mark.parametrize("table", [*TABLES.values(), CHARACTER_ANCHORS], ids=lambda table: table.name)
def test_every_column_says_what_it_is_and_keys_are_columns(table: Table) -> None:
    assert set(table.key) <= set(table.columns.names)
    assert all(field.metadata[b"doc"] for field in table.columns)


def test_a_characters_anchors_keep_their_pictures_byte_for_byte() -> None:
    row = {"anchor_id": "t-1-global", "character_id": "v-c00", "video_id": "v", "pts_ns": 1, "kind": "global", "subclass": None, "rank": 0, "score": 0.5}
    row |= {"face_box": [0.25, 0.25, 0.5, 0.5], "width": 64, "height": 48, "picture": bytes(range(256))}
    file = io.BytesIO()
    write_table(CHARACTER_ANCHORS, CHARACTER_ANCHORS.from_rows([row]), file)
    file.seek(0)
    assert read_table(CHARACTER_ANCHORS, file).to_pylist() == [row]
