from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.samples.encode import latents_key
from tests.training.small_training import AREA, CHARACTERS, CLIPS, small_checkpoint
from training.data.index import ShardIndex, read_index
from training.data.selection import select, takes_latents
from training.errors import TrainingError
from training.options import DataOptions, TrainingOptions, ValidationOptions

NOBODY = ValidationOptions(share=0)
DATA = DataOptions(area=AREA, frames=9)


@pytest.fixture(scope="module")
def index(small_shards: Path) -> ShardIndex:
    return read_index([str(small_shards)])


def with_latents(index: ShardIndex, pixels: bool = True, area: int = AREA) -> ShardIndex:
    yes = np.ones(CLIPS, bool)
    return replace(index, has_latents=yes, has_pixels=yes & pixels, latents_key=latents_key(small_checkpoint(), area))


def test_rows_are_trained_on_or_held_out(index: ShardIndex) -> None:
    chosen = select(index, DATA, ValidationOptions(share=0, characters=("character-1",)), small_checkpoint())
    assert sorted([*chosen.trained, *chosen.validated]) == list(range(CLIPS))
    assert set(index.character_id[chosen.validated].tolist()) == {"character-1"}
    assert "character-1" not in index.character_id[chosen.trained].tolist()
    assert len(set(index.character_id.tolist())) == CHARACTERS
    assert not chosen.use_latents
    assert len(select(index, DATA, NOBODY, small_checkpoint()).validated) == 0


def test_clips_of_one_size_share_a_bucket(index: ShardIndex) -> None:
    chosen = select(index, DATA, NOBODY, small_checkpoint())
    assert {str(bucket) for bucket in chosen.buckets} == {"16x12, 9 frames", "12x16, 9 frames"}
    wide = index.width > index.height
    assert len(set(chosen.bucket[wide].tolist())) == len(set(chosen.bucket[~wide].tolist())) == 1
    assert chosen.buckets[chosen.bucket[wide][0]].width == 16


def test_latents_are_taken_where_all_have_them(index: ShardIndex) -> None:
    checkpoint = small_checkpoint()
    assert takes_latents(with_latents(index), DATA, AREA, checkpoint)
    assert not takes_latents(with_latents(index), replace(DATA, source="pixels"), AREA, checkpoint)
    some = with_latents(index)
    some = replace(some, has_latents=some.has_latents & (np.arange(CLIPS) != 3))
    assert not takes_latents(some, DATA, AREA, checkpoint)
    with pytest.raises(TrainingError, match=rf"1 of 18 samples have no latents, {some.keys[3]} for one; encode them"):
        takes_latents(some, replace(DATA, source="latents"), AREA, checkpoint)


def test_pixels_that_are_not_there(index: ShardIndex) -> None:
    ahead = with_latents(index, pixels=False)
    assert takes_latents(ahead, DATA, AREA, small_checkpoint())
    with pytest.raises(TrainingError, match=r"18 of 18 samples have no pixels, .* train with --data\.source latents"):
        takes_latents(ahead, replace(DATA, source="pixels"), AREA, small_checkpoint())


def test_latents_of_other_networks_or_sizes(index: ShardIndex) -> None:
    other = small_checkpoint()
    other.codec = PixelUnshuffleCodec(4, 1)
    with pytest.raises(TrainingError, match=r"are not this checkpoint's: codec \S+ instead of \S+\. Encode the shards with this checkpoint"):
        takes_latents(with_latents(index), DATA, AREA, other)
    with pytest.raises(TrainingError, match=r"area 999 instead of 256.*that they were encoded with \(999\)"):
        takes_latents(with_latents(index, area=999), DATA, AREA, small_checkpoint())
    with pytest.raises(TrainingError, match="does not say which networks their latents come from"):
        takes_latents(replace(with_latents(index), latents_key=None), DATA, AREA, small_checkpoint())


def test_an_index_that_names_nobody_to_hold_out(index: ShardIndex) -> None:
    with pytest.raises(TrainingError, match="none of the 4 characters"):
        select(index, DATA, ValidationOptions(share=1e-6), small_checkpoint())


def test_clips_that_do_not_fit(index: ShardIndex, small_options: Callable[..., TrainingOptions]) -> None:
    assert small_options().data.area == AREA
    with pytest.raises(TrainingError, match="clips cannot be trained on, clip-"):
        select(index, replace(DATA, area=3), NOBODY, small_checkpoint())
