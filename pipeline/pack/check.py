"""Reading shards back: every promise of the index and of the sample contract, tried on every byte that is there."""

import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import BinaryIO

import av
import av.error
import soundfile
from PIL import Image, UnidentifiedImageError

from pipeline import storage
from pipeline.failures import InputError
from pipeline.pack.grid import exact_rate, sample_count
from pipeline.pack.shards import Row, shard_sizes
from pipeline.pack.tar import layout
from schemas.sample import AUDIO_RATE, Sample, SampleError, member_name, parse_sample
from schemas.vocabulary import AnchorKind


def check_files(shards: str, rows: Sequence[Row]) -> list[str]:
    """Whether the folder holds the index's shards, in full, and no others, and the index no sample twice."""
    there = {storage.file_name(uri) for uri in storage.list_files(shards, ".tar")}
    expected = shard_sizes(rows)
    problems = [f"{shard}: is in the index, but the file is not there" for shard in sorted(set(expected) - there)]
    problems += [f"{shard}: is not in the index" for shard in sorted(there - set(expected))]
    for shard in sorted(there & set(expected)):
        if (size := storage.size(storage.join(shards, shard))) != expected[shard]:
            problems.append(f"{shard}: has {size} bytes, by the index it should have {expected[shard]}")
    problems += [f"{key}: is in the index {count} times" for key, count in Counter(row["key"] for row in rows).items() if count > 1]
    return problems


def check_coverage(rows: Sequence[Row], accepted: Collection[str], excused: Collection[str]) -> list[str]:
    """Whether every accepted clip is packed or excused (it has failed, or waits for judged anchors), and nothing else is packed."""
    packed = {row["key"] for row in rows}
    absent = set(accepted) - packed - set(excused)
    problems = [f"{key}: is an accepted clip, but neither in a shard nor among the failures: run pack" for key in sorted(absent)]
    return problems + [f"{key}: is in a shard, but not an accepted clip: run pack" for key in sorted(packed - set(accepted))]


def check_shard(shards: str, name: str, rows: Sequence[Row], latents_key: bytes | None = None) -> list[str]:
    """What is wrong with a shard and its samples; a line for each.

    Each member is read twice: by the byte range that the index gives, and in passing from the tar, as webdataset does.

    Args:
        shards: folder of the shards.
        name: file name of the shard.
        rows: its rows of the index.
        latents_key: what the index says of the networks that latents come from.
    """
    uri = storage.join(shards, name)
    indexed = {row["key"]: row for row in rows}
    problems = []
    seen = set()
    try:
        ranges = _read_ranges(uri, rows)
        for key, members in _stream(uri):
            if key in seen or key not in indexed:
                problems.append(f"{name}: {key}: is in the shard {'twice, or not in one piece' if key in seen else 'but not in the index'}")
                continue
            seen.add(key)
            problems += [f"{name}: {key}: {problem}" for problem in _check_sample(indexed[key], members, ranges[key], latents_key)]
    except (tarfile.TarError, InputError, OSError) as error:
        problems.append(f"{name}: cannot be read to its end: {error}")
    return problems + [f"{name}: {key}: is in the index but not in the shard" for key in sorted(set(indexed) - seen)]


def _read_ranges(uri: str, rows: Sequence[Row]) -> dict[str, list[bytes]]:
    """By key, the digest of what lies in each byte range that the index gives."""
    with storage.open_read(uri) as file:
        return {row["key"]: [_read_range(file, *at) for at in zip(row["member_offsets"], row["member_sizes"], strict=True)] for row in rows}


def _read_range(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return _digest(file.read(size))


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _stream(uri: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Key and members of the samples of a tar, in passing."""
    key: str | None = None
    members: dict[str, bytes] = {}
    with storage.open_read(uri) as file, tarfile.open(fileobj=file, mode="r|") as archive:
        for info in archive:
            owner, _, name = info.name.partition(".")
            if owner != key:
                if key is not None:
                    yield key, members
                key, members = owner, {}
            content = archive.extractfile(info)
            members[name] = content.read() if content is not None else b""
    if key is not None:
        yield key, members


def _check_sample(row: Row, members: Mapping[str, bytes], ranges: Sequence[bytes], latents_key: bytes | None) -> Iterator[str]:
    if row["member_names"] != list(members):
        yield f"the index has the members {', '.join(row['member_names'])}, the shard {', '.join(members)}"
        return
    for name, digest in zip(row["member_names"], ranges, strict=True):
        if digest != _digest(members[name]):
            yield f"the index's byte range of {member_name(row['key'], name)} is not where the shard has it"
    try:
        sample = parse_sample(row["key"], members)
    except SampleError as error:
        yield str(error)
        return
    yield from _check_row(row, sample)
    yield from _check_video(sample)
    yield from _check_audio(sample)
    yield from _check_pictures(sample)
    if sample.latents is not None:
        from pipeline.pack.check_latents import check_latents  # needs safetensors, which packing does not

        yield from check_latents(sample, latents_key)


def _check_row(row: Row, sample: Sample) -> Iterator[str]:
    metadata = sample.metadata
    where = layout(dict(zip(row["member_names"], row["member_sizes"], strict=True)))
    if (row["size"], row["member_offsets"]) != (where.size, [row["offset"] + offset for offset in where.offsets]):
        yield "the index's offset and size of the sample do not agree with those of its members"
    kinds = Counter(anchor.kind for anchor in metadata.anchors)
    truth = {name: getattr(metadata, name) for name in ("frame_count", "frame_rate", "width", "height", "audio", "video_id", "character_id", "sample_hash")}
    truth |= {f"anchors_{kind.word}": kinds[kind] for kind in AnchorKind}
    truth["anchors_outside"] = sum(not anchor.inside_clip for anchor in metadata.anchors)
    yield from (f"the index says {name} {row[name]!r}, the sample {value!r}" for name, value in truth.items() if row[name] != value)


def _check_video(sample: Sample) -> Iterator[str]:
    metadata = sample.metadata
    if sample.video is None:
        return
    try:
        with av.open(io.BytesIO(sample.video), "r") as container:
            stream = container.streams.video[0]
            found = [(round(frame.time * 1_000_000), frame.width, frame.height) for frame in container.decode(stream)]
            rate = stream.average_rate
    except (av.error.FFmpegError, IndexError) as error:
        yield f"the video cannot be decoded: {error}"
        return
    expected_rate = exact_rate(metadata.frame_rate)
    if rate != expected_rate:
        yield f"the video has {rate} frames per second, not {expected_rate}"
    if len(found) != metadata.frame_count:
        yield f"the video has {len(found)} frames, not {metadata.frame_count}"
    if wrong := {f"{width}x{height}" for _, width, height in found} - {f"{metadata.width}x{metadata.height}"}:
        yield f"the video's frames are {', '.join(sorted(wrong))}, not {metadata.width}x{metadata.height}"
    if any(abs(time - i * 1_000_000 / expected_rate) > 100 for i, (time, _, _) in enumerate(found)):
        yield "the video's frames do not come at a constant rate from time 0"


def _check_audio(sample: Sample) -> Iterator[str]:
    if sample.audio is None:
        return
    try:
        samples, rate = soundfile.read(io.BytesIO(sample.audio), always_2d=True)
    except soundfile.LibsndfileError as error:
        yield f"the audio cannot be decoded: {error}"
        return
    count = sample_count(sample.metadata.frame_count, sample.metadata.frame_rate, AUDIO_RATE)
    if samples.shape != (count, 1) or rate != AUDIO_RATE:
        yield f"the audio has {samples.shape[0]} samples at {rate} Hz on {samples.shape[1]} channels, not {count} at {AUDIO_RATE} Hz on 1"


def _check_pictures(sample: Sample) -> Iterator[str]:
    size = sample.metadata.width, sample.metadata.height
    for anchor, content in zip(sample.metadata.anchors, sample.anchors, strict=sample.metadata.pixels):
        try:
            with Image.open(io.BytesIO(content)) as picture:
                picture.load()
                if picture.format != "JPEG" or picture.mode != "RGB" or picture.size != size:
                    yield f"{anchor.file} is {picture.format} {picture.mode} {picture.size[0]}x{picture.size[1]}, not JPEG RGB {size[0]}x{size[1]}"
        except (UnidentifiedImageError, OSError) as error:
            yield f"{anchor.file} cannot be decoded: {error}"
