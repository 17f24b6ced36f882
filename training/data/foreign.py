"""Samples that others packed: a video, a caption and perhaps sound under one key, as webdataset streams them. They become samples of ours without anchors.

KEY.mp4     the clip, or .mov, .mkv, .webm; all of its frames are the clip
KEY.txt     the caption; or KEY.json with "caption" or "text", where "character_id" and "video_id" are read too
KEY.flac    the sound, or .wav, .mp3, .ogg, .m4a; else that of the video, if it has any
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
import av.error
import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas.sample import AUDIO_RATE, JSON, SAMPLE_SCHEMA, Sample, SampleError, SampleMetadata

VIDEO_SUFFIXES = ("mp4", "mov", "mkv", "webm")
AUDIO_SUFFIXES = ("flac", "wav", "mp3", "ogg", "m4a")
TEXT = "txt"
SECOND = 1_000_000_000
"""Nanoseconds."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What a foreign video is.

    Attributes:
        frame_count: packets of its video stream that are shown.
        frame_rate: mean frames per second.
        width, height: pixels.
        audio: there is sound, beside it or in it.
    """

    frame_count: int
    frame_rate: float
    width: int
    height: int
    audio: bool


def is_foreign(members: Mapping[str, bytes]) -> bool:
    """Whether it is somebody else's sample. One of ours whose JSON is damaged is ours."""
    try:
        content = json.loads(members.get(JSON, b"{}"))
    except ValueError:
        return False
    return not isinstance(content, dict) or content.get("schema") != SAMPLE_SCHEMA


def content_hash(members: Mapping[str, bytes]) -> str:
    """16 hex digits over all members: what tells whether a foreign sample is the one that was indexed."""
    digest = hashlib.sha256()
    for name, content in members.items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def probe(key: str, members: Mapping[str, bytes]) -> Clip:
    """Look into a foreign sample's video: its packets are counted, its first frame is decoded.

    Args:
        key: of the sample.
        members: names without the key, to contents.

    Raises:
        SampleError: there is no video, or it is damaged.
    """
    name = _video_name(key, members)
    try:
        with av.open(BytesIO(members[name]), "r", metadata_errors="replace") as container:
            if not container.streams.video:
                raise SampleError(f"{key}: {key}.{name} has no video stream")
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            frame_count, first = 0, None
            for packet in container.demux(stream):
                frame_count += packet.size > 0 and packet.pts is not None and not packet.is_discard
                if first is None:
                    first = next(iter(packet.decode()), None)
            audio = bool(container.streams.audio) or _audio_name(members) is not None
    except av.error.FFmpegError as error:
        raise SampleError(f"{key}: {key}.{name} cannot be decoded: {error.strerror}") from error
    if first is None or not rate:
        raise SampleError(f"{key}: {key}.{name} has no frame, or no frame rate")
    upright = round(first.rotation / 90) % 2 == 0  # a phone that was turned writes its pictures lying, and how to turn them
    width, height = (first.width, first.height) if upright else (first.height, first.width)
    return Clip(frame_count, float(rate), width, height, audio)


def foreign_sample(key: str, members: Mapping[str, bytes], clip: Clip, sample_hash: str) -> Sample:
    """A foreign sample as one of ours.

    Args:
        key: of the sample.
        members: names without the key, to contents.
        clip: what the index says of it.
        sample_hash: likewise.

    Raises:
        SampleError: its bytes are not those that were indexed, there is no video, or its text or sound cannot be read.
    """
    if content_hash(members) != sample_hash:
        raise SampleError(f"{key}: its bytes are not those that were indexed: it is damaged, or the shard was replaced; index the shards again")
    said = _said(key, members)
    metadata = SampleMetadata(
        clip_id=key,
        video_id=str(said.get("video_id", key)),
        shot_id="",
        track_id="",
        character_id=character_of(key, members),
        start_ns=0,
        end_ns=max(1, round(clip.frame_count * SECOND / clip.frame_rate)),
        frame_count=clip.frame_count,
        frame_rate=clip.frame_rate,
        width=clip.width,
        height=clip.height,
        caption=_caption(key, members, said),
        audio=clip.audio,
        anchors=(),
        seed=0,
        sample_hash=sample_hash,
    )
    return Sample(metadata, members[_video_name(key, members)], _sound(key, members, clip) if clip.audio else None, ())


def character_of(key: str, members: Mapping[str, bytes]) -> str:
    """Whose clip it is: "character_id" of KEY.json, or the key, where every clip passes for a character of its own."""
    return str(_said(key, members).get("character_id", key))


def video_of(key: str, members: Mapping[str, bytes]) -> str:
    """What video it is from: "video_id" of KEY.json, or the key."""
    return str(_said(key, members).get("video_id", key))


def _said(key: str, members: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        said = json.loads(members.get(JSON, b"{}"))
    except ValueError as error:
        raise SampleError(f"{key}: {key}.{JSON} is not JSON: {error}") from error
    return said if isinstance(said, dict) else {}


def _caption(key: str, members: Mapping[str, bytes], said: Mapping[str, Any]) -> str | None:
    if TEXT in members:
        try:
            return members[TEXT].decode().strip()
        except UnicodeDecodeError as error:
            raise SampleError(f"{key}: {key}.{TEXT} is not UTF-8: {error}") from error
    caption = said.get("caption", said.get("text"))
    return None if caption is None else str(caption)


def _video_name(key: str, members: Mapping[str, bytes]) -> str:
    name = next((suffix for suffix in VIDEO_SUFFIXES if suffix in members), None)
    if name is None:
        raise SampleError(f"{key}: has no video ({', '.join(VIDEO_SUFFIXES)}); its members are {', '.join(sorted(members)) or 'none'}")
    return name


def _audio_name(members: Mapping[str, bytes]) -> str | None:
    return next((suffix for suffix in AUDIO_SUFFIXES if suffix in members), None)


def _sound(key: str, members: Mapping[str, bytes], clip: Clip) -> bytes:
    """The sound as ours has it: FLAC, 16 kHz, mono, as long as the clip."""
    name = _audio_name(members) or _video_name(key, members)
    try:
        found = _decoded(members[name])
    except (av.error.FFmpegError, IndexError) as error:
        raise SampleError(f"{key}: the sound of {key}.{name} cannot be decoded: {error}") from error
    samples = np.zeros(round(clip.frame_count * AUDIO_RATE / Fraction(clip.frame_rate).limit_denominator(1001)), np.int16)
    samples[: len(found)] = found[: len(samples)]
    file = BytesIO()
    soundfile.write(file, samples, AUDIO_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _decoded(content: bytes) -> NDArray[np.int16]:
    """(N,) the first audio stream at 16 kHz, mono."""
    with av.open(BytesIO(content), "r", metadata_errors="replace") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
        parts = [part for frame in container.decode(container.streams.audio[0]) for part in resampler.resample(frame)]
        parts += resampler.resample(None)
    return np.concatenate([np.zeros(0, np.int16), *(part.to_ndarray()[0] for part in parts)])
