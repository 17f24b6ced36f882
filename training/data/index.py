"""The index of the shards: where every sample lies, and what the order of the training needs to know of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.latents import INDEX_METADATA, LATENTS, LatentsError, LatentsKey
from schemas.table import TableSchemaError, TableVersionError, check_schema
from schemas.tables import SHARD_INDEX
from training.data import storage
from training.data.foreign import VIDEO_SUFFIXES
from training.data.order import Integers
from training.errors import TrainingError

INDEX = "index.parquet"
SHARDS = "shards"
"""Where an output root has them."""
REMEDY = "`python -m jobs pack` writes it beside its shards; for shards from elsewhere: python -m training index --shards TARS…"

Strings = NDArray[Any]
"""Of numpy's StringDType: an element is a ``str``, and the whole needs no objects that worker processes would copy."""
Flags = NDArray[np.bool_]


class Member(NamedTuple):
    """A file of a sample: its name without the key, byte offset in the shard, and size."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class ShardIndex:
    """All samples of the shards, as arrays of length N.

    Attributes:
        keys: of the samples.
        shard_urls: path or URL of each shard.
        shard: number of the sample's shard in ``shard_urls``.
        offset, size: the sample's bytes in the shard.
        member_names: every name that a member has anywhere.
        member_starts: (N + 1,) the members of sample i are those from member_starts[i] to member_starts[i + 1] in the following arrays.
        member_name: number of each member's name in ``member_names``.
        member_offset, member_size: bytes of each member's content in the shard.
        frame_count, frame_rate, width, height: of the clip.
        audio: there is sound.
        video_id, character_id: where it comes from.
        has_pixels: the clip and the pictures of its anchors are there.
        has_latents: latents computed ahead are there.
        sample_hash: of everything the sample was made from.
        latents_key: which networks they come from; None when no index says so.
        fingerprint: of the keys and contents of all samples, and how they lie in shards: trainings on two that are equal see the same order.
    """

    keys: Strings
    shard_urls: tuple[str, ...]
    shard: Integers
    offset: Integers
    size: Integers
    member_names: tuple[str, ...]
    member_starts: Integers
    member_name: Integers
    member_offset: Integers
    member_size: Integers
    frame_count: Integers
    frame_rate: NDArray[np.float64]
    width: Integers
    height: Integers
    audio: Flags
    video_id: Strings
    character_id: Strings
    has_pixels: Flags
    has_latents: Flags
    sample_hash: Strings
    latents_key: LatentsKey | None
    fingerprint: str

    def __len__(self) -> int:
        return len(self.keys)

    def members(self, row: int) -> list[Member]:
        """The files of a sample."""
        span = slice(self.member_starts[row], self.member_starts[row + 1])
        where = zip(self.member_name[span].tolist(), self.member_offset[span].tolist(), self.member_size[span].tolist(), strict=True)
        return [Member(self.member_names[name], offset, size) for name, offset, size in where]


def read_index(urls: Sequence[str]) -> ShardIndex:
    """Read the indexes of one or several folders of shards, one behind the other.

    Args:
        urls: folders with an index.parquet, or the parquet files themselves; paths or URLs that fsspec knows.

    Raises:
        TrainingError: an index is missing, empty, of another version or no index at all; a key stands twice; latents come from different networks.
    """
    if not urls:
        raise TrainingError("there are no shards; give --shards with folders that have an index.parquet")
    tables, shard_urls, keys = [], [], []
    for url in urls:
        table, folder = _read_table(index_url(url))
        tables.append(table.replace_schema_metadata(None))
        shard_urls += [_shard_url(folder, name) for name in table["shard"].to_pylist()]
        keys.append(_latents_key(url, table))
    return _index(pa.concat_tables(tables), shard_urls, _one_key(urls, keys))


def index_url(url: str) -> str:
    """The index of a folder of shards, or of the output root that they lie in; the URL itself when it is one."""
    if url.partition("?")[0].endswith(".parquet"):
        return url
    beside, below = storage.join(url, INDEX), storage.join(storage.join(url, SHARDS), INDEX)
    return below if not storage.exists(beside) and storage.exists(below) else beside


def _read_table(url: str) -> tuple[pa.Table, str]:
    """The rows of an index, and its folder."""
    try:
        parquet = pq.ParquetFile(BytesIO(storage.read_bytes(url)))
        check_schema(SHARD_INDEX, parquet.schema_arrow, url)
        table = parquet.read()
    except storage.NotThereError as error:
        raise TrainingError(f"{url}: there is no such index of shards; {REMEDY}") from error
    except (TableVersionError, TableSchemaError) as error:
        raise TrainingError(f"{error}; {REMEDY}") from error
    except (pa.ArrowException, OSError) as error:
        raise TrainingError(f"{url} is damaged: {error}; {REMEDY}") from error
    if not table.num_rows:
        raise TrainingError(f"{url} names no samples; {REMEDY}")
    return table, storage.split(url)[0]


def _shard_url(folder: str, name: str) -> str:
    return name if storage.is_absolute(name) else storage.join(folder, name)


def _latents_key(url: str, table: pa.Table) -> LatentsKey | None:
    content = (table.schema.metadata or {}).get(INDEX_METADATA)
    try:
        return None if content is None else LatentsKey.from_json(content)
    except LatentsError as error:
        raise TrainingError(f"{url}: {error}") from error


def _one_key(urls: Sequence[str], keys: Sequence[LatentsKey | None]) -> LatentsKey | None:
    known = [(url, key) for url, key in zip(urls, keys, strict=True) if key is not None]
    for (first, key), (second, other) in pairwise(known):
        if key != other:
            differences = ", ".join(key.differences(other))
            raise TrainingError(
                f"the latents of {second} are not of the same networks as those of {first}: {differences}; "
                "encode them with one checkpoint, or train on the shards that they were encoded from"
            )
    return known[0][1] if known else None


def _index(table: pa.Table, urls: Sequence[str], latents_key: LatentsKey | None) -> ShardIndex:
    shard_urls = tuple(dict.fromkeys(urls))
    number = {url: i for i, url in enumerate(shard_urls)}
    shard = np.array([number[url] for url in urls], np.int64)
    keys = _strings(table["key"])
    _check_unique(keys, shard, shard_urls)
    member_starts = np.concatenate([[0], np.cumsum(_integers(pc.list_value_length(table["member_names"])))])
    names = _flat(table["member_names"]).dictionary_encode()
    member_names = tuple(names.dictionary.to_pylist())
    member_name = names.indices.to_numpy().astype(np.int64)
    return ShardIndex(
        keys=keys,
        shard_urls=shard_urls,
        shard=shard,
        offset=_integers(table["offset"]),
        size=_integers(table["size"]),
        member_names=member_names,
        member_starts=member_starts,
        member_name=member_name,
        member_offset=_integers(_flat(table["member_offsets"])),
        member_size=_integers(_flat(table["member_sizes"])),
        frame_count=_integers(table["frame_count"]),
        frame_rate=table["frame_rate"].to_numpy(),
        width=_integers(table["width"]),
        height=_integers(table["height"]),
        audio=table["audio"].to_numpy(),
        video_id=_strings(table["video_id"]),
        character_id=_strings(table["character_id"]),
        has_pixels=_having(member_name, member_starts, [code for code, name in enumerate(member_names) if name in VIDEO_SUFFIXES]),
        has_latents=_having(member_name, member_starts, [code for code, name in enumerate(member_names) if name == LATENTS]),
        sample_hash=_strings(table["sample_hash"]),
        latents_key=latents_key,
        fingerprint=_fingerprint(table["key"].to_pylist(), table["sample_hash"].to_pylist(), shard.tolist()),
    )


def _strings(column: pa.ChunkedArray) -> Strings:
    return np.array(column.to_pylist(), np.dtypes.StringDType())


def _integers(column: pa.ChunkedArray | pa.Array) -> Integers:
    return np.asarray(column.to_numpy(), np.int64)


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().flatten()


def _having(member_name: Integers, member_starts: Integers, codes: Sequence[int]) -> Flags:
    """Of each sample, whether it has one of these members."""
    hits = np.concatenate([[0], np.cumsum(np.isin(member_name, codes))])
    return hits[member_starts[1:]] > hits[member_starts[:-1]]


def _check_unique(keys: Strings, shard: Integers, shard_urls: Sequence[str]) -> None:
    names, counts = np.unique(keys, return_counts=True)
    if not (counts > 1).any():
        return
    key = names[counts > 1][0]
    places = " and in ".join(shard_urls[number] for number in shard[keys == key][:2])
    others = f", {(counts > 1).sum() - 1} other keys likewise" if (counts > 1).sum() > 1 else ""
    raise TrainingError(f"the key {key} stands twice in the indexes, in {places}{others}; name every folder once, and no copies of its samples")


def _fingerprint(*columns: Sequence[object]) -> str:
    digest = hashlib.sha256()
    for row in zip(*columns, strict=True):
        digest.update(f"{row}\n".encode())
    return digest.hexdigest()[:16]
