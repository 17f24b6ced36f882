"""Shards: which samples go into which, and how they are put together from pieces.

Nothing here depends on the order in which workers finish. The order of the samples is drawn with the seed, so that a shard mixes videos;
shards are filled one after another. Shards that hold nothing stale stay as they are, byte for byte; of the others the samples that are
still wanted are packed again with the new ones, into shards with numbers that no index has ever named: a reader who holds an older index
never finds other bytes under a name that it knows. For that the index keeps the next free number. It is written last: until then readers
see the old shards.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.failures import InputError
from pipeline.pack.tar import END, Layout, layout, read_piece, write_piece
from schemas.sample import Sample, SampleError, SampleMetadata, build_sample
from schemas.table import read_table
from schemas.tables import SHARD_INDEX
from schemas.vocabulary import AnchorKind, FailureKind

FOLDER = "shards"
STAGING = ".staging"
INDEX = "index.parquet"
NEXT_NUMBER = b"gloria.next_shard"
"""Key in the index's parquet metadata: the first number that no index here has named."""
COPY_BYTES = 1 << 20

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """A sample that is ready to go into a shard.

    Attributes:
        row: its row of the index; ``offset`` and ``member_offsets`` are those within the file at ``uri``, ``shard`` is that file's name.
        uri: the file that has its bytes, at the row's offset: a staged file or an older shard.
    """

    row: Row
    uri: str

    @property
    def key(self) -> str:
        """The sample's key."""
        return str(self.row["key"])

    @property
    def size(self) -> int:
        """Bytes in a tar."""
        return int(self.row["size"])


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard to write.

    Attributes:
        name: file name.
        ranges: (uri, offset, size) of its pieces, in order.
    """

    name: str
    ranges: tuple[tuple[str, int, int], ...]


def staged_uri(shards: str, key: str, sample_hash: str) -> str:
    """Where a sample waits for its shard."""
    return storage.join(shards, STAGING, f"{key}-{sample_hash}.tar")


def stage(shards: str, sample: Sample) -> Piece:
    """Write a sample to where it waits for its shard."""
    metadata, members = sample.metadata, build_sample(sample)
    uri = staged_uri(shards, metadata.clip_id, metadata.sample_hash)
    storage.write_atomic(uri, lambda file: write_piece(file, metadata.clip_id, members))
    return Piece(_row(metadata, layout({name: len(content) for name, content in members.items()}), storage.file_name(uri)), uri)


def find_staged(shards: str, key: str, sample_hash: str) -> Piece | None:
    """A sample that an earlier run, which was killed, has left where it waits; None when there is none, or none that is right."""
    uri = staged_uri(shards, key, sample_hash)
    if not storage.exists(uri):
        return None
    try:
        with storage.open_read(uri) as file:
            metadata, where = read_piece(file, key)
    except SampleError:
        return None
    if metadata.sample_hash != sample_hash or where.size != storage.size(uri):
        return None
    return Piece(_row(metadata, where, storage.file_name(uri)), uri)


def fill(pieces: Iterable[Piece], first_number: int, shard_bytes: int, seed: int) -> tuple[list[ShardPlan], list[Row]]:
    """Which pieces go into which new shard, and their index rows there.

    Args:
        pieces: in any order.
        first_number: of the first new shard.
        shard_bytes: a shard is closed before it grows beyond this; one that holds a single sample may be larger.
        seed: of the samples' order.
    """
    plans: list[ShardPlan] = []
    rows: list[Row] = []
    ranges: list[tuple[str, int, int]] = []
    size = 0
    for piece in sorted(pieces, key=lambda piece: (_ticket(seed, piece.key), piece.key)):
        if ranges and size + piece.size + len(END) > shard_bytes:
            plans.append(ShardPlan(shard_name(first_number + len(plans)), tuple(ranges)))
            ranges, size = [], 0
        rows.append(_moved(piece.row, shard_name(first_number + len(plans)), size))
        ranges.append((piece.uri, piece.row["offset"], piece.size))
        size += piece.size
    if ranges:
        plans.append(ShardPlan(shard_name(first_number + len(plans)), tuple(ranges)))
    return plans, rows


def write_shard(shards: str, plan: ShardPlan) -> int:
    """Copy the pieces of a shard together; gives its size in bytes. Holds one block of it in memory.

    Raises:
        InputError: STORAGE, a piece is shorter than it was, or the storage failed.
    """

    def copy_all(file: BinaryIO) -> None:
        for uri, offset, size in plan.ranges:
            _copy(uri, offset, size, file)
        file.write(END)

    storage.write_atomic(storage.join(shards, plan.name), copy_all)
    return sum(size for _, _, size in plan.ranges) + len(END)


def shard_name(number: int) -> str:
    """File name of the shard with this number."""
    return f"shard-{number:06d}.tar"


def shard_number(name: str) -> int:
    """The number in a shard's file name."""
    return int(name.removeprefix("shard-").removesuffix(".tar"))


def shard_sizes(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How large each shard must be, by the index."""
    ends: dict[str, int] = defaultdict(int)
    for row in rows:
        ends[row["shard"]] = max(ends[row["shard"]], row["offset"] + row["size"])
    return {shard: end + len(END) for shard, end in ends.items()}


def read_shard_index(shards: str) -> list[Row]:
    """The index's rows; none when there is no index.

    Raises:
        TableVersionError, TableSchemaError: it was written by another release, or is none.
    """
    uri = storage.join(shards, INDEX)
    if not storage.exists(uri):
        return []
    rows: list[Row] = read_table(SHARD_INDEX, BytesIO(storage.read_bytes(uri))).to_pylist()
    return rows


def next_number(shards: str) -> int:
    """The first number that no index of this folder has named, whichever release wrote it; 0 when there is no index."""
    uri = storage.join(shards, INDEX)
    if not storage.exists(uri):
        return 0
    if (noted := index_notes(shards).get(NEXT_NUMBER)) is not None:
        return int(noted)
    names = pq.read_table(BytesIO(storage.read_bytes(uri)), columns=["shard"])["shard"].to_pylist()
    return 1 + max((shard_number(name) for name in names), default=-1)


def index_notes(shards: str) -> dict[bytes, bytes]:
    """The index's parquet metadata; none when there is no index."""
    uri = storage.join(shards, INDEX)
    return dict(pq.read_schema(BytesIO(storage.read_bytes(uri))).metadata or {}) if storage.exists(uri) else {}


def write_shard_index(shards: str, rows: Sequence[Row], number: int, notes: Mapping[bytes, bytes] | None = None) -> pa.Table:
    """Write the index; gives it as a table.

    Args:
        shards: folder of the shards.
        rows: one for each sample.
        number: what ``next_number`` is to say from now on.
        notes: more for the parquet metadata.
    """
    table = SHARD_INDEX.from_rows(rows)
    noted = table.replace_schema_metadata({**SHARD_INDEX.schema.metadata, **(notes or {}), NEXT_NUMBER: str(number).encode()})
    storage.write_atomic(storage.join(shards, INDEX), lambda file: pq.write_table(noted, file, compression="zstd"))
    return table


def tidy(shards: str, names: Collection[str]) -> int:
    """Remove what the index does not know: shards with other names, staged samples, half-written files. Gives the number of shards removed."""
    orphans = [uri for uri in storage.list_files(shards, ".tar") if storage.file_name(uri) not in names]
    staging = storage.join(shards, STAGING)
    for uri in [*orphans, *storage.list_files(staging)]:
        storage.remove(uri)
    storage.remove_leftovers(shards)
    if (folder := storage.local_path(staging)) is not None and folder.is_dir():
        folder.rmdir()
    return len(orphans)


def _copy(uri: str, offset: int, size: int, target: BinaryIO) -> None:
    with storage.open_read(uri) as source:
        source.seek(offset)
        while size:
            block = source.read(min(size, COPY_BYTES))
            if not block:
                raise InputError(FailureKind.STORAGE, f"{uri} ends {size} bytes early: remove it and run the command again")
            target.write(block)
            size -= len(block)


def _moved(row: Row, shard: str, offset: int) -> Row:
    return row | {"shard": shard, "offset": offset, "member_offsets": [member - row["offset"] + offset for member in row["member_offsets"]]}


def _row(metadata: SampleMetadata, where: Layout, file: str) -> Row:
    kinds = Counter(anchor.kind for anchor in metadata.anchors)
    return {
        "key": metadata.clip_id,
        "shard": file,
        "offset": 0,
        "size": where.size,
        "member_names": list(where.names),
        "member_offsets": list(where.offsets),
        "member_sizes": list(where.sizes),
        "frame_count": metadata.frame_count,
        "frame_rate": metadata.frame_rate,
        "width": metadata.width,
        "height": metadata.height,
        "audio": metadata.audio,
        "anchors_global": kinds[AnchorKind.GLOBAL],
        "anchors_viewpoint": kinds[AnchorKind.VIEWPOINT],
        "anchors_expression": kinds[AnchorKind.EXPRESSION],
        "anchors_outside": sum(not anchor.inside_clip for anchor in metadata.anchors),
        "video_id": metadata.video_id,
        "character_id": metadata.character_id,
        "sample_hash": metadata.sample_hash,
    }


def _ticket(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{key}".encode()).digest()
