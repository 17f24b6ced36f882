"""The shards that ``encode`` reads: which samples they hold, by their indexes."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.failures import InputError
from pipeline.pack.shards import FOLDER, INDEX
from schemas.latents import LATENTS
from schemas.sample import JSON, VIDEO
from schemas.table import TableSchemaError, TableVersionError, read_table
from schemas.tables import SHARD_INDEX
from schemas.vocabulary import FailureKind
from schemas.yaml_options import OptionsError

REMEDY = "`pack` writes one beside its shards, and only samples of `pack` can be encoded; packed into other tars, they get one by python -m training index"


@dataclass(frozen=True, slots=True)
class InputSample:
    """A sample that is to be encoded.

    Attributes:
        key, video_id: see SHARD_INDEX.
        uri: its shard.
        offset: of its first byte in the shard.
        members: name, offset in the shard and size of each of its files.
        seconds: of its clip.
        sample_hash: of what it was made from.
    """

    key: str
    video_id: str
    uri: str
    offset: int
    members: tuple[tuple[str, int, int], ...]
    seconds: float
    sample_hash: str


def input_folder(url: str) -> str:
    """The folder of shards that a URL stands for: that of an index, a folder with one, or an output root.

    Raises:
        OptionsError: there is no index.
        InputError: the storage failed.
    """
    url = storage.absolute(url)
    if storage.file_name(url).endswith(".parquet"):
        return url.rpartition("/")[0]
    for folder in (url, storage.join(url, FOLDER)):
        if storage.exists(storage.join(folder, INDEX)):
            return folder
    raise OptionsError(f"--shards {url}: there is no {INDEX}; {REMEDY}")


def read_inputs(urls: Sequence[str]) -> list[InputSample]:
    """The samples of several folders of shards, in the order of their shards.

    Args:
        urls: as of ``input_folder``.

    Raises:
        OptionsError: an index is missing, no index, or of another release; a sample is there twice, is not of ``pack``, or has no pixels.
        InputError: the storage failed.
    """
    samples: dict[str, InputSample] = {}
    for url in urls:
        for sample in _read_index(url):
            if (other := samples.get(sample.key)) is not None:
                raise OptionsError(f"--shards: the sample {sample.key} is in {other.uri} and in {sample.uri}; name every folder once, and no copies")
            samples[sample.key] = sample
    return sorted(samples.values(), key=lambda sample: (sample.uri, sample.offset))


def _read_index(url: str) -> list[InputSample]:
    folder = input_folder(url)
    uri = storage.absolute(url) if storage.file_name(url).endswith(".parquet") else storage.join(folder, INDEX)
    try:
        rows = read_table(SHARD_INDEX, BytesIO(storage.read_bytes(uri))).to_pylist()
    except (TableVersionError, TableSchemaError, pa.ArrowException) as error:
        raise OptionsError(f"--shards {uri} is no index of shards that this release reads ({error}); {REMEDY}") from error
    except InputError as error:
        if error.kind is FailureKind.NOT_FOUND:
            raise OptionsError(f"--shards {uri}: there is no such index; {REMEDY}") from error
        raise
    if foreign := [row["key"] for row in rows if JSON not in row["member_names"] or not {VIDEO, LATENTS} & set(row["member_names"])]:
        raise OptionsError(
            f"--shards {uri}: {len(foreign)} samples are not of `pack`, {foreign[0]} for one, and only those of `pack` can be encoded; "
            "train on the others as they are, their clips are then encoded on the way"
        )
    if without := [row["key"] for row in rows if VIDEO not in row["member_names"]]:
        raise OptionsError(
            f"--shards {uri}: {len(without)} samples have no pixels to encode, {without[0]} for one; "
            "give the shards that these were made from (encode with --no-keep-pixels leaves pixels out)"
        )
    return [_sample(row, folder) for row in rows]


def _sample(row: dict[str, Any], folder: str) -> InputSample:
    shard = row["shard"]
    uri = shard if "://" in shard or shard.startswith("/") else storage.join(folder, shard)
    members = tuple(zip(row["member_names"], row["member_offsets"], row["member_sizes"], strict=True))
    return InputSample(row["key"], row["video_id"], uri, row["offset"], members, row["frame_count"] / row["frame_rate"], row["sample_hash"])
