"""Latents and embeddings of a shard sample, computed ahead of time: the member KEY.latents.safetensors.

It holds the tensors

    video       (C, f, h, w)   latents of all frames of the clip
    anchors     (K, C, h, w)   latents of the anchors, each encoded as a video of one frame, in the order of KEY.json; absent when there are none
    text        (T, D)         embedding of the caption, without padding; absent when the text encoder is trained with the network, or there is no caption
    audio       (V, D)         features of the clip's sound, 50 per second; absent when there is none
    picture     (P, D)         embedding of the clip's first frame, for networks that look at a picture; absent for others

and, in its metadata, which networks they come from. A trainer takes them only when they are its own networks.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from schemas.sample import INDEX_METADATA as INDEX_METADATA  # read without safetensors, too
from schemas.sample import LATENTS as LATENTS

LATENTS_SCHEMA = "gloria.latents"
LATENTS_VERSION = 1

_HEADER = "gloria"
"""The one key of the safetensors' metadata: of several, safetensors writes the order as it comes."""
_TENSORS = ("video", "anchors", "text", "audio", "picture")

Numbers = NDArray[np.floating[Any]]


class LatentsError(ValueError):
    """The member is not what the contract says, or of another version; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LatentsKey:
    """What latents depend on, beside the sample: two that are equal can be used for one another.

    Attributes:
        codec: fingerprint of the codec, its weights included.
        text: of the text encoder; None when captions are not encoded.
        audio: of the audio features; None when sounds are not encoded.
        picture: of the image encoder; None when the network looks at no picture.
        area: upper bound of width x height that clips were scaled down to, in pixels.
    """

    codec: str
    text: str | None
    audio: str | None
    picture: str | None
    area: int

    @classmethod
    def from_json(cls, content: str | bytes) -> Self:
        """From what ``to_json`` wrote.

        Raises:
            LatentsError: it is something else.
        """
        try:
            return cls(**json.loads(content))
        except (TypeError, ValueError) as error:
            raise LatentsError(f"{content!r} does not say which networks the latents come from; encode the shards again") from error

    def to_json(self) -> str:
        """As JSON, the same for the same key."""
        return json.dumps(asdict(self), sort_keys=True)

    def differences(self, other: Self) -> list[str]:
        """In words, where another key is not this one: ``codec a1b2 instead of c3d4``."""
        return [
            f"{each.name} {getattr(other, each.name)} instead of {getattr(self, each.name)}"
            for each in fields(self)
            if getattr(self, each.name) != getattr(other, each.name)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """The content of the member; see the head of this file for the shapes."""

    video: Numbers
    anchors: Numbers | None
    text: Numbers | None
    audio: Numbers | None
    picture: Numbers | None
    key: LatentsKey

    def to_bytes(self) -> bytes:
        """The member's bytes."""
        tensors = {name: np.ascontiguousarray(tensor) for name in _TENSORS if (tensor := getattr(self, name)) is not None}
        header = {"schema": LATENTS_SCHEMA, "version": LATENTS_VERSION, "key": asdict(self.key)}
        return save(tensors, {_HEADER: json.dumps(header, sort_keys=True)})

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> Self:
        """Read the member; ``name`` is what messages call it.

        Raises:
            LatentsError: it is damaged, of another version, or something else.
        """
        key = read_key(content, name)
        try:
            tensors = load(content)
        except (SafetensorError, ValueError) as error:
            raise LatentsError(f"{name} is damaged ({error}); encode its shard again") from error
        if "video" not in tensors:
            raise LatentsError(f"{name} has no tensor 'video'; encode its shard again")
        return cls(**{each: tensors.get(each) for each in _TENSORS}, key=key)  # type: ignore[arg-type]


def read_key(content: bytes, name: str) -> LatentsKey:
    """Which networks a member's tensors come from, by its first bytes; ``name`` is what messages call it.

    Raises:
        LatentsError: as ``Latents.from_bytes``.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_HEADER])
        schema, version = header["schema"], header["version"]
    except (KeyError, TypeError, ValueError) as error:
        raise LatentsError(f"{name} was not written by this project, or is damaged; encode its shard again") from error
    if schema != LATENTS_SCHEMA or version != LATENTS_VERSION:
        raise LatentsError(f"{name} has version {version} of {schema}, this release reads {LATENTS_VERSION} of {LATENTS_SCHEMA}; encode its shard again")
    return LatentsKey.from_json(json.dumps(header["key"]))
