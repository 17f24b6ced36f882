"""The samples as shards that the trainer reads: latents of clips, and of all anchors inside and outside."""

from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.ablation.drawn import CLASSES, FRAMES, SIDE, Samples
from benchmarks.latent_shards import latent_sample, write_latent_shards
from model.checkpoint import Checkpoint
from model.samples.encode import latents_key
from schemas.sample import Sample

ANCHORS = [(each, inside) for inside in (True, False) for each in CLASSES]
"""Of every sample, in this order."""


def write_shards(folder: Path, drawn: Samples, checkpoint: Checkpoint) -> Path:
    """Write a folder of shards with their index."""
    return write_latent_shards(folder, _samples(drawn, checkpoint))


def _samples(drawn: Samples, checkpoint: Checkpoint) -> Iterator[Sample]:
    key, codec = latents_key(checkpoint, SIDE * SIDE), checkpoint.codec
    clips = codec.encode(drawn.clips).numpy()
    anchors = codec.encode(torch.cat([drawn.inside, drawn.outside], dim=2)).transpose(1, 2).numpy()  # with one frame per latent, each as if it were alone
    for number, caption in enumerate(drawn.captions()):
        name = f"{number:06d}"
        yield latent_sample(f"clip-{name}", f"character-{name}", caption, (SIDE, SIDE, FRAMES), clips[number], ANCHORS, anchors[number], key)
