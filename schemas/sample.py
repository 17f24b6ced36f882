"""The shard sample: what one training clip looks like inside a webdataset tar. Building and parsing, without any I/O or decoding.

The sample of the clip KEY consists of the tar members, in this order:

    KEY.json                    what SampleMetadata says, and the CRC-32 of every other member
    KEY.mp4                     the clip: H.264, constant frame rate, ``frame_count`` frames of ``width`` x ``height``
    KEY.flac                    its audio, 16 kHz mono, the same span; absent when ``audio`` is false
    KEY.anchor-00.jpg           the superset of content anchors, in the order of ``anchors``: full frames of the clip's size
    KEY.anchor-01.jpg           …
    KEY.latents.safetensors     latents and embeddings of all of these, see schemas/latents.py; absent unless ``latents`` is true

Where ``pixels`` is false, the latents stand for clip, audio and anchors, whose members are absent; KEY.json describes them as ever.

webdataset splits a member's name at its first dot into the key and the name it is decoded under (``json``, ``mp4``, ``anchor-00.jpg``);
therefore a key has no dot. Times are nanoseconds of the source video's presentation time, spans half-open.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

from schemas.vocabulary import SUBCLASSES, AnchorKind, Coded

SAMPLE_SCHEMA = "gloria.sample"
SAMPLE_VERSION = 2
"""Goes up by one whenever a field or member is added, removed or changes its meaning."""
OLDEST_VERSION = 1
"""The oldest that is read. Version 1 did not know latents: its samples have pixels and nothing else."""

AUDIO_RATE = 16_000
"""Samples per second of KEY.flac."""

JSON, VIDEO, AUDIO, LATENTS = "json", "mp4", "flac", "latents.safetensors"
"""The members' names, without the key; those of anchors are made by ``anchor_file``."""
INDEX_METADATA = b"gloria.latents"
"""Key in the shard index's parquet metadata, where samples have latents: which networks they all come from, a ``schemas.latents.LatentsKey`` as JSON."""

_KEY = re.compile(r"(?!__)[A-Za-z0-9_-]{1,80}")


class SampleError(ValueError):
    """A sample, or what is to become one, breaks the contract; the message names the key and what is wrong."""


class ForeignSampleError(SampleError):
    """A sample was not written by this project."""


class SampleVersionError(SampleError):
    """A sample was written by a release whose sample layout this one does not read; the message says what to do."""


Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class SampleAnchor:
    """One content anchor of the superset.

    Attributes:
        file: member name of its picture, without the key: ``anchor-00.jpg``.
        kind: what it shows.
        subclass: the Viewpoint or Expression; None for a global anchor.
        pts_ns: presentation time of its frame in the source video.
        inside_clip: its frame lies in the clip's span.
        box: x0, y0, x1, y1 of the face (the body, where there is no face) as fractions of the anchor's picture; None when unknown.
        score: 0..1, confidence in the class times quality; None when unknown.
    """

    file: str
    kind: AnchorKind
    subclass: Coded | None
    pts_ns: int
    inside_clip: bool
    box: Box | None
    score: float | None


@dataclass(frozen=True, slots=True)
class SampleMetadata:
    """What KEY.json says.

    Attributes:
        clip_id: the sample's key.
        video_id, shot_id, track_id, character_id: where it comes from; see the tables of the same names.
        start_ns, end_ns: the clip's span in the source video. Frame i shows, of the source frames in the span, the nearest to start_ns + i / frame_rate.
        frame_count: frames of the clip.
        frame_rate: frames per second of the clip.
        width, height: pixels of the clip and of every anchor; latents may be those of a smaller one.
        caption: text condition; None until refined.
        audio: the clip has sound.
        anchors: the superset, in the order of their files.
        seed: what the superset was drawn with.
        sample_hash: hash of everything the sample was made from.
        pixels: KEY.mp4, KEY.flac (where there is sound) and the anchors' pictures are there.
        latents: KEY.latents.safetensors is there.
    """

    clip_id: str
    video_id: str
    shot_id: str
    track_id: str
    character_id: str
    start_ns: int
    end_ns: int
    frame_count: int
    frame_rate: float
    width: int
    height: int
    caption: str | None
    audio: bool
    anchors: tuple[SampleAnchor, ...]
    seed: int
    sample_hash: str
    pixels: bool = True
    latents: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """A whole sample, its files still encoded.

    Attributes:
        metadata: what KEY.json says.
        video: bytes of the MP4; None in a sample without pixels.
        audio: bytes of the FLAC, or None.
        anchors: bytes of the JPEGs, in the order of ``metadata.anchors``; none in a sample without pixels.
        latents: bytes that ``schemas.latents.Latents.from_bytes`` reads, or None.
    """

    metadata: SampleMetadata
    video: bytes | None
    audio: bytes | None
    anchors: tuple[bytes, ...]
    latents: bytes | None = None


def anchor_file(number: int) -> str:
    """Member name of the anchor with this place in the superset."""
    return f"anchor-{number:02d}.jpg"


def member_name(key: str, member: str) -> str:
    """Name in the tar of a sample's member.

    Raises:
        SampleError: the key would not come back from webdataset, which splits at the first dot.
    """
    if not _KEY.fullmatch(key):
        raise SampleError(f"{key!r} cannot be a sample's key: it may have up to 80 letters, digits, '-' and '_' only, and not start with '__'")
    return f"{key}.{member}"


def build_sample(sample: Sample) -> dict[str, bytes]:
    """The sample's members in the order they belong into the tar: names without the key, to bytes.

    Raises:
        SampleError: the parts do not fit together.
    """
    metadata = sample.metadata
    member_name(metadata.clip_id, JSON)
    expected = len(metadata.anchors) if metadata.pixels else 0
    if len(sample.anchors) != expected:
        raise SampleError(f"{metadata.clip_id}: {len(sample.anchors)} anchor pictures for {expected} anchors")
    pictures = {anchor.file: picture for anchor, picture in zip(metadata.anchors, sample.anchors, strict=False)}
    contents = {VIDEO: sample.video, AUDIO: sample.audio, **pictures, LATENTS: sample.latents}
    members = {name: content for name, content in contents.items() if content is not None}
    _check(metadata, members)
    return {JSON: metadata_to_json(metadata, {name: crc32(content) for name, content in members.items()})} | members


def parse_sample(key: str, members: Mapping[str, Any]) -> Sample:
    """A sample from its members (names without the key, to bytes), for example from what webdataset yields.

    Members that this layout does not know, and webdataset's own ``__key__`` and so on, are ignored.

    Raises:
        SampleVersionError: it was written by an older or newer release.
        SampleError: it is not what the contract says, or its bytes are damaged; the message names the key.
    """
    if JSON not in members:
        raise SampleError(f"{key}: has no {key}.{JSON}; its members are {', '.join(sorted(members)) or 'none'}")
    metadata = metadata_from_json(key, members[JSON])
    _check(metadata, members)
    _check_sums(key, members)
    pictures = tuple(members[anchor.file] for anchor in metadata.anchors) if metadata.pixels else ()
    return Sample(metadata, members.get(VIDEO), members.get(AUDIO), pictures, members.get(LATENTS))


def metadata_to_json(metadata: SampleMetadata, checksums: Mapping[str, int]) -> bytes:
    """The content of KEY.json: the same bytes for the same metadata and checksums (member name to CRC-32)."""
    content = {"schema": SAMPLE_SCHEMA, "version": SAMPLE_VERSION} | asdict(metadata) | {"crc32": dict(checksums)}
    content["anchors"] = [
        asdict(anchor) | {"kind": anchor.kind.word, "subclass": anchor.subclass.word if anchor.subclass is not None else None} for anchor in metadata.anchors
    ]
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def metadata_from_json(key: str, content: bytes) -> SampleMetadata:
    """The metadata of KEY.json, every field checked.

    Raises:
        SampleVersionError: it was written by an older or newer release.
        SampleError: it is not what the contract says; the message names the key.
    """
    raw = _read_json(key, content)
    values = _take(key, f"{key}.{JSON}", (_ABSENT_FROM_1 | raw) if raw["version"] == 1 else raw, _TYPES)
    if values["clip_id"] != key:
        raise SampleError(f"{key}: {key}.{JSON} says its clip_id is {values['clip_id']!r}")
    values["anchors"] = tuple(_anchor(key, number, anchor) for number, anchor in enumerate(values["anchors"]))
    return SampleMetadata(**values)


def _read_json(key: str, content: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise SampleError(f"{key}: {key}.{JSON} is not JSON: {error}") from error
    if not isinstance(raw, dict) or raw.get("schema") != SAMPLE_SCHEMA:
        raise ForeignSampleError(f"{key}: {key}.{JSON} was not written by this project: it does not say schema {SAMPLE_SCHEMA!r}")
    _check_version(key, raw.get("version"))
    return raw


def _check_version(key: str, version: object) -> None:
    if isinstance(version, int) and OLDEST_VERSION <= version <= SAMPLE_VERSION:
        return
    newer = isinstance(version, int) and version > SAMPLE_VERSION
    remedy = "upgrade gloria-anchors to read it" if newer else "pack the clips again, or read it with the release that wrote it"
    raise SampleVersionError(f"{key}: the sample has version {version}, this release reads versions {OLDEST_VERSION} to {SAMPLE_VERSION}; {remedy}")


_ABSENT_FROM_1 = {"pixels": True, "latents": False}
"""What samples of version 1 do not say, and are."""
_TYPES: dict[str, tuple[type, ...]] = {
    "clip_id": (str,),
    "video_id": (str,),
    "shot_id": (str,),
    "track_id": (str,),
    "character_id": (str,),
    "start_ns": (int,),
    "end_ns": (int,),
    "frame_count": (int,),
    "frame_rate": (int, float),
    "width": (int,),
    "height": (int,),
    "caption": (str, type(None)),
    "audio": (bool,),
    "anchors": (list,),
    "seed": (int,),
    "sample_hash": (str,),
    "pixels": (bool,),
    "latents": (bool,),
}
_ANCHOR_TYPES: dict[str, tuple[type, ...]] = {
    "file": (str,),
    "kind": (str,),
    "subclass": (str, type(None)),
    "pts_ns": (int,),
    "inside_clip": (bool,),
    "box": (list, type(None)),
    "score": (int, float, type(None)),
}


def _take(key: str, where: str, raw: Any, types: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """The fields named in types, checked; others are left alone."""
    if not isinstance(raw, dict):
        raise SampleError(f"{key}: {where} is not an object")
    for name, allowed in types.items():
        if name not in raw:
            raise SampleError(f"{key}: {where} lacks {name!r}")
        if not isinstance(raw[name], allowed) or (isinstance(raw[name], bool) and bool not in allowed):
            raise SampleError(f"{key}: {where}: {name!r} is {raw[name]!r}, not {' or '.join(kind.__name__ for kind in allowed)}")
    return {name: raw[name] for name in types}


def _anchor(key: str, number: int, raw: Any) -> SampleAnchor:
    where = f"anchors[{number}]"
    values = _take(key, where, raw, _ANCHOR_TYPES)
    try:
        kind = AnchorKind.from_word(values["kind"])
        subclass = _subclass(kind, values["subclass"])
    except ValueError as error:
        raise SampleError(f"{key}: {where}: {error}") from error
    box = values["box"]
    if box is not None and (len(box) != 4 or not all(isinstance(side, int | float) and not isinstance(side, bool) for side in box)):
        raise SampleError(f"{key}: {where}: the box {box!r} is not x0, y0, x1, y1")
    return SampleAnchor(**(values | {"kind": kind, "subclass": subclass, "box": None if box is None else tuple(box)}))


def _subclass(kind: AnchorKind, word: str | None) -> Coded | None:
    vocabulary = SUBCLASSES[kind]
    if (vocabulary is None) != (word is None):
        raise ValueError(f"a {kind.word} anchor {'has no subclass' if vocabulary is None else 'needs a subclass'}, this one has {word!r}")
    return vocabulary.from_word(word) if vocabulary is not None and word is not None else None


def _check(metadata: SampleMetadata, members: Mapping[str, Any]) -> None:
    """What the fields say about one another, and about the members."""
    key = metadata.clip_id
    if metadata.start_ns >= metadata.end_ns or metadata.frame_count < 1 or metadata.frame_rate <= 0 or metadata.width < 1 or metadata.height < 1:
        raise SampleError(
            f"{key}: the clip has no extent: {metadata.start_ns}..{metadata.end_ns} ns, {metadata.frame_count} frames, {metadata.width}x{metadata.height}"
        )
    for number, anchor in enumerate(metadata.anchors):
        if anchor.file != anchor_file(number):
            raise SampleError(f"{key}: anchors[{number}] is the file {anchor.file!r}, not {anchor_file(number)!r}")
        if anchor.inside_clip != (metadata.start_ns <= anchor.pts_ns < metadata.end_ns):
            raise SampleError(
                f"{key}: {anchor.file} at {anchor.pts_ns} ns says inside_clip {anchor.inside_clip}, the span is {metadata.start_ns}..{metadata.end_ns}"
            )
    wanted = _wanted(metadata)
    if not wanted:
        raise SampleError(f"{key}: has neither pixels nor latents")
    if missing := [member for member in wanted if member not in members]:
        raise SampleError(f"{key}: lacks {', '.join(member_name(key, member) for member in missing)}")
    absent = {VIDEO: "are no pixels", AUDIO: "is no audio" if metadata.pixels else "are no pixels", LATENTS: "are no latents"}
    for member, what in absent.items():
        if member in members and member not in wanted:
            raise SampleError(f"{key}: has a {member_name(key, member)}, but its metadata says that there {what}")


def _wanted(metadata: SampleMetadata) -> list[str]:
    """The members that must be there, beside the JSON."""
    pixels = [VIDEO, *([AUDIO] if metadata.audio else []), *(anchor.file for anchor in metadata.anchors)]
    return [*(pixels if metadata.pixels else []), *([LATENTS] if metadata.latents else [])]


def _check_sums(key: str, members: Mapping[str, Any]) -> None:
    """Bytes that changed on the way here."""
    sums = _take(key, f"{key}.{JSON}", _read_json(key, members[JSON]), {"crc32": (dict,)})["crc32"]
    for member in (VIDEO, AUDIO, LATENTS, *(name for name in sums if name not in (VIDEO, AUDIO, LATENTS))):
        if member in members and crc32(members[member]) != sums.get(member):
            raise SampleError(f"{key}: {member_name(key, member)} is damaged: its bytes do not have the CRC-32 that {key}.{JSON} gives")
