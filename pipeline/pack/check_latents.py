"""Latents that were read back: whether they are what the sample, its index and one another say."""

from collections.abc import Iterator

import numpy as np

from schemas.latents import Latents, LatentsError, LatentsKey, Numbers
from schemas.sample import LATENTS, Sample, member_name

DIMENSIONS = {"video": 4, "anchors": 4, "text": 2, "audio": 2, "picture": 2}
"""Of each tensor, see schemas/latents.py."""


def check_latents(sample: Sample, latents_key: bytes | None) -> Iterator[str]:
    """What is wrong with a sample's latents.

    Args:
        sample: with latents.
        latents_key: what the index says of the networks that they come from; None when it says nothing.
    """
    assert sample.latents is not None
    metadata = sample.metadata
    try:
        latents = Latents.from_bytes(sample.latents, member_name(metadata.clip_id, LATENTS))
        expected = None if latents_key is None else LatentsKey.from_json(latents_key)
    except LatentsError as error:
        yield str(error)
        return
    if expected is None:
        yield "there are latents, but the index does not say which networks they come from"
    elif differences := expected.differences(latents.key):
        yield f"the latents are not those that the index speaks of: {', '.join(differences)}"
    tensors: dict[str, Numbers] = {name: tensor for name in DIMENSIONS if (tensor := getattr(latents, name)) is not None}
    wrong = [name for name, tensor in tensors.items() if tensor.ndim != DIMENSIONS[name]]
    yield from (f"the latents' {name} has the shape {tensors[name].shape}, not one of {DIMENSIONS[name]} dimensions" for name in wrong)
    yield from (f"the latents' {name} is not finite everywhere" for name, tensor in tensors.items() if not np.isfinite(tensor).all())
    if not wrong:
        yield from _check_agreement(sample, latents)


def _check_agreement(sample: Sample, latents: Latents) -> Iterator[str]:
    metadata = sample.metadata
    channels, frames, height, width = latents.video.shape
    if not 1 <= frames <= metadata.frame_count:
        yield f"the latents have {frames} frames, the clip has {metadata.frame_count}"
    anchors = 0 if latents.anchors is None else len(latents.anchors)
    if anchors != len(metadata.anchors):
        yield f"the latents are of {anchors} anchors, the sample has {len(metadata.anchors)}"
    if latents.anchors is not None and latents.anchors.shape[1:] != (channels, height, width):
        yield f"the anchors' latents are of {latents.anchors.shape[1:]}, those of the video of {(channels, height, width)}"
    if (latents.audio is not None) != (metadata.audio and latents.key.audio is not None):
        yield f"there are {'' if latents.audio is not None else 'no '}audio features, the sample has {'sound' if metadata.audio else 'none'}"
    if (latents.text is not None) != (metadata.caption is not None and latents.key.text is not None):
        yield f"there is {'an' if latents.text is not None else 'no'} embedding of a caption, the sample has {'one' if metadata.caption else 'none'}"
