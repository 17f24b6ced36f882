"""Which samples are trained on, in which size, from pixels or from latents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.samples.encode import latents_key
from training.data.geometry import Bucket, SampleGeometry
from training.data.index import ShardIndex
from training.data.order import Integers
from training.data.split import held_out
from training.errors import TrainingError
from training.options import DataOptions, ValidationOptions


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The samples of a training.

    Attributes:
        index: of all samples.
        geometry: how they are brought to what the network takes.
        trained: rows that are trained on, ascending.
        validated: rows that are held out.
        bucket: (N,) of every sample, the number of its bucket.
        buckets: what the numbers stand for.
        use_latents: of each sample its latents are read, not its pixels.
    """

    index: ShardIndex
    geometry: SampleGeometry
    trained: Integers
    validated: Integers
    bucket: Integers
    buckets: list[Bucket]
    use_latents: bool


def select(index: ShardIndex, data: DataOptions, validation: ValidationOptions, checkpoint: Checkpoint) -> Selection:
    """Choose the samples.

    Raises:
        TrainingError: a clip does not fit the network; latents that are not of its codec and encoders; nobody to train on, or nobody to hold out.
    """
    geometry = SampleGeometry.of(checkpoint, data.area, data.frames)
    bucket, buckets = geometry.buckets(index)
    out = held_out(index.character_id, validation.share, validation.characters)
    use_latents = takes_latents(index, data, geometry.area, checkpoint)
    return Selection(index, geometry, np.flatnonzero(~out), np.flatnonzero(out), bucket, buckets, use_latents)


def takes_latents(index: ShardIndex, data: DataOptions, area: int, checkpoint: Checkpoint) -> bool:
    """Whether latents are read instead of pixels.

    Raises:
        TrainingError: what was asked for is not there, or the latents are of other networks or of another size.
    """
    prefers_pixels = checkpoint.layout.beside or not index.has_latents.all()
    if data.source == "pixels" or (data.source == "auto" and prefers_pixels and index.has_pixels.all()):
        _all_have(index.has_pixels, index.keys.tolist(), "pixels", "train with --data.source latents, or on shards with pixels")
        return False
    if checkpoint.layout.beside:
        raise TrainingError("an image-to-video network needs the pixels of its samples, not their latents alone: train on shards that have them")
    _all_have(index.has_latents, index.keys.tolist(), "latents", "encode them with `python -m jobs encode`, or train with --data.source pixels")
    wanted, found = latents_key(checkpoint, area), index.latents_key
    if found is None:
        raise TrainingError("the index of the shards does not say which networks their latents come from; encode them again with `python -m jobs encode`")
    if differences := wanted.differences(found):
        raise TrainingError(
            f"the latents of the shards are not this checkpoint's: {', '.join(differences)}. Encode the shards with this checkpoint (`python -m jobs encode "
            f"--checkpoint … --area {area}`), give the --data.area that they were encoded with ({found.area}), or train with --data.source pixels"
        )
    return True


def _all_have(flags: NDArray[np.bool_], keys: Sequence[str], what: str, remedy: str) -> None:
    if not flags.all():
        missing = np.flatnonzero(~flags)
        raise TrainingError(f"{len(missing)} of {len(keys)} samples have no {what}, {keys[int(missing[0])]} for one; {remedy}")
