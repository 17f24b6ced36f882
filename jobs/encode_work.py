"""What workers do for ``encode``: read a sample, compute its latents and embeddings with a checkpoint's codec and encoders, stage it anew.

torch and the model are imported on the worker, when it sets itself up: whoever only plans needs neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from jobs.encode_inputs import InputSample
from jobs.engine import Stateless
from jobs.staging import MissingSample, Staged
from pipeline import storage
from pipeline.failures import InputError
from pipeline.pack import shards as shard_files
from pipeline.pack.shards import Piece
from schemas.latents import Latents, LatentsKey
from schemas.sample import ForeignSampleError, Sample, SampleError, SampleVersionError, parse_sample
from schemas.vocabulary import FailureKind

if TYPE_CHECKING:
    from model.checkpoint import Checkpoint

Number = Literal["float16", "float32"]

RECIPE_VERSION = 1
"""Goes up by one whenever the same sample is encoded to something else: all are encoded anew then."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides, beside a sample, what it becomes.

    Attributes:
        key: which networks, which size.
        dtype: of the stored numbers.
        keep_pixels: latents next to the pixels, or instead of them.
    """

    key: LatentsKey
    dtype: Number
    keep_pixels: bool

    def sample_hash(self, sample: InputSample) -> str:
        """16 hex digits over what the encoded sample is made from."""
        content = [RECIPE_VERSION, sample.sample_hash, self.key.to_json(), self.dtype, self.keep_pixels]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class EncodeUnit:
    """Some samples of one shard, near to one another."""

    samples: tuple[InputSample, ...]

    def __str__(self) -> str:
        return f"{len(self.samples)} samples of {self.samples[0].uri} from {self.samples[0].key} on"

    @property
    def missing(self) -> list[MissingSample]:
        """The samples."""
        return [MissingSample(sample.key, sample.video_id, sample.seconds) for sample in self.samples]

    def apart(self) -> list[EncodeUnit]:
        """A unit for each sample."""
        return [EncodeUnit((sample,)) for sample in self.samples]


def units_of(samples: Sequence[InputSample], most: int) -> list[EncodeUnit]:
    """Samples in the order of their shards, cut where a shard ends or a unit has as many as it may."""
    units: list[list[InputSample]] = []
    for sample in samples:
        if not units or len(units[-1]) == most or units[-1][-1].uri != sample.uri:
            units.append([])
        units[-1].append(sample)
    return [EncodeUnit(tuple(unit)) for unit in units]


@dataclass(frozen=True)
class KeyWork(Stateless):
    """Reads a checkpoint for the key of its latents, where workers run: there its weights are."""

    area: int | None
    name: str = "encode"

    def __call__(self, unit: str) -> LatentsKey:
        """The key of the latents of the checkpoint in this folder; raises InputError when there is none, or one that does not fit."""
        from model.samples.encode import latents_key

        checkpoint = load_encoders(unit)
        return latents_key(checkpoint, self.area or checkpoint.usage.area)


@dataclass(frozen=True)
class EncodeWork:
    """Encodes samples and stages them.

    Attributes:
        shards: folder of the new shards.
        checkpoint: folder of the networks, on every worker's machine.
        recipe: see there.
        device: to compute on.
    """

    shards: str
    checkpoint: str
    recipe: Recipe
    device: str
    name: str = "encode"
    units_at_once: int = 1
    _loaded: list[Checkpoint] = field(default_factory=list, compare=False, repr=False)

    def setup(self) -> None:
        """Load the encoders.

        Raises:
            InputError: they are not there, or not those that the job was planned with.
        """
        from model.samples.encode import latents_key

        checkpoint = load_encoders(self.checkpoint)
        if self.device == "cpu":
            import torch

            torch.set_num_threads(1)  # other numbers of threads give other last bits: every worker's bytes are to be the same
        if differences := self.recipe.key.differences(latents_key(checkpoint, self.recipe.key.area)):
            raise InputError(
                FailureKind.STORAGE, f"{self.checkpoint} is not the same checkpoint on every machine: {', '.join(differences)}; put it on shared storage"
            )
        self._loaded.append(checkpoint)

    def __call__(self, unit: EncodeUnit) -> Staged:
        """Key and staged sample, or the error, of every sample; those staged before are found again."""
        with storage.open_read(unit.samples[0].uri) as file:
            return [(sample.key, self._staged(sample, file)) for sample in unit.samples]

    def close(self) -> None:
        """Let the encoders go."""
        self._loaded.clear()

    def _staged(self, wanted: InputSample, file: BinaryIO) -> Piece | InputError:
        sample_hash = self.recipe.sample_hash(wanted)
        if (found := shard_files.find_staged(self.shards, wanted.key, sample_hash)) is not None:
            return found
        try:
            sample = read_sample(wanted, file)
            return shard_files.stage(self.shards, with_latents(sample, self._encode(sample), self.recipe.keep_pixels, sample_hash))
        except ForeignSampleError as error:
            return InputError(FailureKind.UNSUPPORTED, f"{wanted.uri}: {error}; only samples of `pack` can be encoded")
        except SampleVersionError as error:
            return InputError(FailureKind.UNSUPPORTED, f"{wanted.uri}: {error}")
        except SampleError as error:
            return InputError(FailureKind.DAMAGED, f"{wanted.uri}: {error}")
        except InputError as error:
            return error

    def _encode(self, sample: Sample) -> Latents:
        import torch

        from model.samples.encode import encode_sample

        (checkpoint,) = self._loaded
        with _typed(sample.metadata.clip_id):
            latents = encode_sample(sample, checkpoint, self.recipe.key.area, self.device, getattr(torch, self.recipe.dtype))
        for name in ("video", "anchors", "text", "audio", "picture"):
            if (numbers := getattr(latents, name)) is not None and not np.isfinite(numbers).all():
                remedy = "try --dtype float32" if self.recipe.dtype == "float16" else "leave the sample out, or check the checkpoint"
                raise InputError(FailureKind.UNSUPPORTED, f"{sample.metadata.clip_id}: what {name} becomes is not finite in {self.recipe.dtype}; {remedy}")
        return latents


def load_encoders(folder: str) -> Checkpoint:
    """A checkpoint without the weights of its network: its codec and its encoders.

    Raises:
        InputError: it is no checkpoint, or the packages for it are not installed.
    """
    try:
        from model.checkpoint import Checkpoint
        from model.errors import ModelInputError
    except ImportError as error:
        raise InputError(
            FailureKind.MISSING_DEPENDENCY, f"{error}: encoding needs the packages of the model, pip install -c constraints.txt '.[model]'"
        ) from error
    try:
        return Checkpoint.load_encoders(Path(folder).expanduser())
    except ModelInputError as error:
        raise InputError(FailureKind.UNSUPPORTED, f"--checkpoint: {error}") from error


def read_sample(wanted: InputSample, file: BinaryIO) -> Sample:
    """A sample out of its shard, by byte ranges.

    Args:
        wanted: where it lies.
        file: the shard, open for reading bytes; seekable.

    Raises:
        SampleError: it is damaged, cut short, or not a sample of this project.
    """
    members = {}
    for name, offset, size in wanted.members:
        file.seek(offset)
        members[name] = file.read(size)
        if len(members[name]) < size:
            raise SampleError(f"{wanted.key}: the shard ends within {wanted.key}.{name}; it was cut short after its index was written")
    return parse_sample(wanted.key, members)


def with_latents(sample: Sample, latents: Latents, keep_pixels: bool, sample_hash: str) -> Sample:
    """A sample with latents, next to its pixels or instead of them."""
    metadata = replace(sample.metadata, pixels=keep_pixels, latents=True, sample_hash=sample_hash)
    if keep_pixels:
        return replace(sample, metadata=metadata, latents=latents.to_bytes())
    return Sample(metadata, None, None, (), latents.to_bytes())


@contextmanager
def _typed(key: str) -> Iterator[None]:
    """What else than the sample itself can be wrong."""
    import torch

    from model.errors import ModelInputError

    try:
        yield
    except ModelInputError as error:
        raise InputError(FailureKind.UNSUPPORTED, f"{key}: {error}") from error
    except torch.OutOfMemoryError as error:
        message = " ".join(str(error).split())[:200]
        raise InputError(FailureKind.OUT_OF_MEMORY, f"{key}: it does not fit into the device's memory ({message}); give a smaller --area") from error
