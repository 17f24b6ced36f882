"""A training of two steps, and what is made with its checkpoints."""

from pathlib import Path

import pytest
import torch

from benchmarks.ablation import arm_run
from benchmarks.ablation.arms import ARMS
from benchmarks.ablation.drawn import CLASSES, FRAMES, SIDE, samples
from benchmarks.ablation.network import checkpoint
from benchmarks.ablation.shards import write_shards
from schemas.latents import Latents
from training.data.index import read_index
from training.data.reader import ShardReader
from training.data.shard_cache import ShardCache


def test_shards_hold_what_was_drawn(tmp_path: Path) -> None:
    drawn, untrained = samples(3, torch.Generator().manual_seed(0)), checkpoint(0)
    index = read_index([str(write_shards(tmp_path / "shards", drawn, untrained))])
    sample = ShardReader(index, ShardCache(tmp_path, 1)).read(1)
    assert sample.latents is not None
    latents = Latents.from_bytes(sample.latents, "sample")
    assert latents.anchors is not None
    clip = untrained.codec.decode(torch.from_numpy(latents.video)[None])
    torch.testing.assert_close(clip, drawn.clips[[1]])
    anchors = untrained.codec.decode(torch.from_numpy(latents.anchors).transpose(0, 1)[None])
    torch.testing.assert_close(anchors, torch.cat([drawn.inside, drawn.outside], dim=2)[[1]])
    assert [anchor.inside_clip for anchor in sample.metadata.anchors] == [True] * len(CLASSES) + [False] * len(CLASSES)
    assert sample.metadata.caption == drawn.captions()[1]


def test_an_arm_trains_and_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_run, "SAMPLES", 40)
    monkeypatch.setattr(arm_run, "HELD_OUT", 4)
    points = arm_run.train_arm(ARMS["random order"], 0, 2, 1, tmp_path / "arm")
    assert [point.step for point in points] == [1, 2]
    made = torch.load(tmp_path / "arm" / "generated.pt")
    assert made.shape == (4, 3, FRAMES, SIDE, SIDE)
