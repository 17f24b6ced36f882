from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.create import create_tiny
from model.errors import ModelInputError
from tests.training.data.made_shards import write_small_shards
from training.data.geometry import Bucket, SampleGeometry
from training.data.index import read_index
from training.errors import TrainingError


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return create_tiny(0)


def test_a_network_says_what_it_takes(tiny: Checkpoint) -> None:
    geometry = SampleGeometry.of(tiny)
    assert (geometry.area, geometry.multiple, geometry.temporal_factor, geometry.spatial_factor, geometry.channels) == (48 * 48, 4, 4, 2, 48)
    assert geometry.hears
    assert geometry.frames is None
    assert SampleGeometry.of(tiny, area=100, frames=9).area == 100


def test_clips_are_scaled_and_cut(tiny: Checkpoint) -> None:
    assert SampleGeometry.of(tiny).bucket(832, 480, 83) == Bucket(64, 36, 81)
    cut = SampleGeometry.of(tiny, frames=13)
    assert cut.bucket(832, 480, 81) == Bucket(64, 36, 13)
    assert cut.bucket(832, 480, 12) == Bucket(64, 36, 9)  # a short one stays short
    assert cut.latent_shape(Bucket(64, 36, 13)) == (48, 4, 18, 32)
    assert str(Bucket(64, 36, 13)) == "64x36, 13 frames"


def test_what_cannot_be_asked_for(tiny: Checkpoint) -> None:
    with pytest.raises(TrainingError, match=r"--data.frames 80: .* say 77 or 81"):
        SampleGeometry.of(tiny, frames=80)
    with pytest.raises(TrainingError, match=r"--data.area 0"):
        SampleGeometry.of(tiny, area=0)
    with pytest.raises(ModelInputError, match=r"--data.frames 125"):
        SampleGeometry.of(tiny).bucket(832, 480, 129)
    assert SampleGeometry.of(tiny, frames=125).bucket(832, 480, 129).frames == 125


def test_sizes_that_come_to_the_same_are_one_bucket(tiny: Checkpoint, tmp_path: Path) -> None:
    index = read_index([str(write_small_shards(tmp_path, 2, 3, sizes=((64, 48), (128, 96), (48, 64))))])
    numbers, buckets = SampleGeometry.of(tiny, area=48 * 36).buckets(index)
    assert buckets == [Bucket(36, 48, 1), Bucket(48, 36, 1)]
    assert all(buckets[number] == (Bucket(36, 48, 1) if index.height[row] == 64 else Bucket(48, 36, 1)) for row, number in enumerate(numbers))


def test_clips_that_fit_nowhere_are_named(tiny: Checkpoint, tmp_path: Path) -> None:
    index = read_index([str(write_small_shards(tmp_path, 1, 2))])
    small = replace(index, width=np.full(2, 3))
    with pytest.raises(TrainingError, match=r"2 clips cannot be trained on, clip00. for one: a picture of 3x48"):
        SampleGeometry.of(tiny).buckets(small)
