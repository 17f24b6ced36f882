"""The index of webdataset tars that ``pack`` did not write: our samples as others packed them again, or videos with captions."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import chain
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from schemas.latents import INDEX_METADATA, LATENTS, LatentsError, LatentsKey, read_key
from schemas.sample import SampleError, SampleMetadata, parse_sample
from schemas.tables import SHARD_INDEX
from schemas.vocabulary import AnchorKind
from training.data import storage
from training.data.foreign import character_of, content_hash, is_foreign, probe, video_of
from training.data.index import INDEX
from training.data.tar_scan import TarSample, scan
from training.errors import TrainingError

AT_ONCE = 8
"""Tars that are read at a time."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A sample that can be trained on.

    Attributes:
        row: of the index.
        foreign: it is somebody else's; its key is free.
        latents_key: which networks its latents come from; None when it has none.
    """

    row: Row
    foreign: bool
    latents_key: LatentsKey | None


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a tar holds.

    Attributes:
        found: its samples.
        problems: a sentence for each sample that is left out.
        lost: a sentence, if the rest of the tar cannot be read; how many samples that are is not known.
    """

    found: list[Found]
    problems: list[str]
    lost: str | None


def build_index(shards: Sequence[str], out: str | None, console: Console) -> str:
    """Read tars from end to end and write their index. Damaged samples are named, and left out.

    Args:
        shards: tars, folders of them, or globs; paths or URLs.
        out: where to write; index.parquet beside the tars when None.
        console: shows progress, and what was left out.

    Returns:
        The path or URL of the index.

    Raises:
        TrainingError: there are no tars, no samples in them, a tar cannot be read, or there is an index already.
    """
    urls = _tars(shards)
    out = out or _beside(urls)
    if storage.exists(out):
        raise TrainingError(f"{out} is there already: train on it, or remove it to index the tars anew, or choose another with --out")
    scanned = _scan_all(urls, out, console)
    found, repeated = _with_own_keys([sample for each in scanned for sample in each.found])
    problems = [*chain.from_iterable(each.problems for each in scanned), *repeated]
    lost = [each.lost for each in scanned if each.lost is not None]
    for problem in [*problems, *lost]:
        console.print(f"left out: {problem}", markup=False, highlight=False)
    if not found:
        raise TrainingError(f"none of {len(urls)} tars has a sample that can be trained on; a sample is KEY.mp4 and KEY.txt or KEY.json")
    storage.write_bytes(out, _parquet(found))
    left_out = f", {len(problems)} left out" if problems else ""
    cut = f"; what else {len(lost)} of these shards held is missing" if lost else ""
    console.print(f"{out}: {len(found)} samples in {len(urls)} shards{left_out}{cut}", markup=False, highlight=False)
    return out


def _tars(shards: Sequence[str]) -> list[str]:
    urls = []
    for url in chain.from_iterable(storage.expand(each) for each in shards):
        if url.partition("?")[0].endswith((".tar.gz", ".tgz", ".tar.zst", ".tar.xz")):
            raise TrainingError(f"{url} is compressed, and no sample can be read from its middle: unpack it to a .tar")
        urls += [url] if url.partition("?")[0].endswith(".tar") else storage.list_files(url, ".tar")
    if not urls:
        raise TrainingError(f"there is no .tar in {', '.join(shards) or 'nothing'}; give tars, or folders of them")
    return list(dict.fromkeys(urls))


def _beside(urls: Sequence[str]) -> str:
    folders = {storage.split(url)[0] for url in urls}
    if len(folders) > 1:
        raise TrainingError(f"the tars lie in {len(folders)} folders; say with --out where their index is to be written")
    return storage.join(folders.pop(), INDEX)


def _scan_all(urls: Sequence[str], out: str, console: Console) -> list[Scanned]:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar, ThreadPoolExecutor(AT_ONCE) as threads:
        task = bar.add_task(f"{len(urls)} tars", total=sum(threads.map(storage.size, urls)))
        scanned = []
        for url, each in zip(urls, threads.map(lambda url: _scan(url, out, lambda size: bar.advance(task, size)), urls), strict=True):
            scanned.append(each)
            if not console.is_terminal:
                console.print(f"{url}: {len(each.found)} samples", markup=False, highlight=False)
    return scanned


def _scan(url: str, out: str, advance: Callable[[int], object]) -> Scanned:
    """The samples of a tar."""
    found, problems, lost = [], [], None
    with storage.open_read(url) as file, storage.sentences(url):
        try:
            for sample in scan(file):
                try:
                    found.append(_found(sample, _shard_name(url, out)))
                except (SampleError, LatentsError) as error:
                    problems.append(f"{error} (in {url})")
                advance(sample.end - sample.offset)
        except SampleError as error:
            lost = f"{url}: {error}"
    return Scanned(found, problems, lost)


def _shard_name(url: str, out: str) -> str:
    """How the index names a tar: by its name alone where it lies beside."""
    folder, name = storage.split(storage.absolute(url))
    return name if folder == storage.split(storage.absolute(out))[0] else storage.absolute(url)


def _found(sample: TarSample, shard: str) -> Found:
    where = {
        "key": sample.key,
        "shard": shard,
        "offset": sample.offset,
        "size": sample.end - sample.offset,
        "member_names": list(sample.contents),
        "member_offsets": list(sample.offsets.values()),
        "member_sizes": [len(content) for content in sample.contents.values()],
    }
    if sample.repeated is not None:
        raise SampleError(f"{sample.key}: has two members {sample.repeated}; webdataset would not know which")
    foreign = is_foreign(sample.contents)
    row = _foreign_row(sample) if foreign else _own_row(parse_sample(sample.key, sample.contents).metadata)
    latents = sample.contents.get(LATENTS)
    return Found(where | row, foreign, None if latents is None else read_key(latents, f"{sample.key}.{LATENTS}"))


def _own_row(metadata: SampleMetadata) -> Row:
    kinds = Counter(anchor.kind for anchor in metadata.anchors)
    same = ("frame_count", "frame_rate", "width", "height", "audio", "video_id", "character_id", "sample_hash")
    return {
        **{name: getattr(metadata, name) for name in same},
        **{f"anchors_{kind.word}": kinds[kind] for kind in AnchorKind},
        "anchors_outside": sum(not anchor.inside_clip for anchor in metadata.anchors),
    }


def _foreign_row(sample: TarSample) -> Row:
    clip = probe(sample.key, sample.contents)
    return {
        "frame_count": clip.frame_count,
        "frame_rate": clip.frame_rate,
        "width": clip.width,
        "height": clip.height,
        "audio": clip.audio,
        **{f"anchors_{kind.word}": 0 for kind in AnchorKind},
        "anchors_outside": 0,
        "video_id": video_of(sample.key, sample.contents),
        "character_id": character_of(sample.key, sample.contents),
        "sample_hash": content_hash(sample.contents),
    }


def _with_own_keys(found: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """Every key once. Others may count their keys from 0 in each tar: those that are there twice get the tar's name in front; what is then still twice goes."""
    counts = Counter(each.row["key"] for each in found)
    kept: dict[str, Found] = {}
    problems = []
    for each in found:
        one = _under_shard(each) if each.foreign and counts[each.row["key"]] > 1 else each
        key = one.row["key"]
        if key in kept:
            problems.append(f"{key}: is there twice, in {kept[key].row['shard']} and in {one.row['shard']}; the first is taken")
        else:
            kept[key] = one
    return list(kept.values()), problems


def _under_shard(found: Found) -> Found:
    row = found.row
    key = f"{storage.split(row['shard'])[1].removesuffix('.tar')}/{row['key']}"
    own_name = {name: key for name in ("video_id", "character_id") if row[name] == row["key"]}
    return replace(found, row=row | {"key": key} | own_name)


def _parquet(found: Sequence[Found]) -> bytes:
    table = SHARD_INDEX.from_rows(each.row for each in found)
    if (key := _common_key([each.latents_key for each in found])) is not None:
        table = table.replace_schema_metadata(SHARD_INDEX.schema.metadata | {INDEX_METADATA: key.to_json().encode()})
    file = BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _common_key(keys: Collection[LatentsKey | None]) -> LatentsKey | None:
    """Which networks the latents of all samples come from, where there are any."""
    known = list(dict.fromkeys(key for key in keys if key is not None))
    if len(known) > 1:
        differences = ", ".join(known[0].differences(known[1]))
        raise TrainingError(f"the latents in these tars come from different networks: {differences}; encode them with one checkpoint, or index them apart")
    return known[0] if known else None
