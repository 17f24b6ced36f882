from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import Checkpoint
from model.create import create_tiny
from model.flow import SigmaDistribution
from model.positions import AnchorClass
from model.samples.encode import audio_features, encode_anchors, encode_frames, latents_key
from schemas.sample import Sample
from schemas.vocabulary import Viewpoint
from tests.training.data.drawn_samples import CLASSES, HEIGHT, WIDTH, drawn_sample, encoded, level
from tests.training.data.made_shards import write_shards
from training.data.dataset import ShardDataset
from training.data.geometry import SampleGeometry
from training.data.index import read_index
from training.data.places import Place
from training.data.reader import ShardReader
from training.data.sample import TrainingSample
from training.data.shard_cache import ShardCache
from training.errors import TrainingError
from training.options import AugmentOptions, DataOptions, LossOptions, SupersetOptions

NOTHING_DROPPED = LossOptions(drop_text=0, drop_audio=0, drop_anchors=0)
ALL_ANCHORS = SupersetOptions(count_weights=(0,) * 6 + (1,), outside_share=0.5)
AREA = WIDTH * HEIGHT


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return create_tiny(0)


def dataset(folder: Path, tiny: Checkpoint, area: int = AREA, frames: int | None = None, seed: int = 0, latents: bool = False, **options: Any) -> ShardDataset:
    index = read_index([str(folder)])
    return ShardDataset(
        index,
        ShardReader(index, ShardCache(folder / "cache", 1 << 30)),
        SampleGeometry.of(tiny, area, frames),
        options.get("data", DataOptions()),
        options.get("superset", ALL_ANCHORS),
        options.get("augmentation", AugmentOptions()),
        options.get("loss", NOTHING_DROPPED),
        seed,
        SigmaDistribution(),
        latents,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = [drawn_sample("a"), drawn_sample("b", caption=None, audio=False), drawn_sample("c"), drawn_sample("d")]
    return write_shards(tmp_path_factory.mktemp("shards"), samples, 2)


def row(data: ShardDataset, key: str) -> int:
    return data.index.keys.tolist().index(key)


def take(data: ShardDataset, key: str, epoch: int = 0) -> TrainingSample:
    (sample,) = data[Place(epoch, row(data, key))].samples
    return sample


def same(one: TrainingSample, other: TrainingSample) -> bool:
    def equal(mine: object, theirs: object) -> bool:
        return torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) and isinstance(theirs, torch.Tensor) else mine == theirs

    return all(equal(getattr(one, name), getattr(other, name)) for name in TrainingSample.__slots__)


def test_a_sample_has_all_that_was_packed(folder: Path, tiny: Checkpoint) -> None:
    sample = take(dataset(folder, tiny), "a")
    assert sample.frames is not None
    assert sample.anchor_frames is not None
    assert sample.waveform is not None
    assert sample.frames.shape == (13, HEIGHT, WIDTH, 3)
    assert [level(frame) for frame in sample.frames] == list(range(13))
    assert sample.caption == "a woman laughs"
    assert (sample.key, sample.epoch, sample.counted, sample.frame_rate) == ("a", 0, True, 16.0)
    assert len(sample.waveform) == 13_000
    assert sorted(level(picture) for picture in sample.anchor_frames) == list(range(6))
    assert [str(anchor) for anchor in sample.anchor_classes] == [
        "global",
        "viewpoint left",
        "viewpoint left",
        "viewpoint right",
        "expression happy",
        "expression sad",
    ]
    for picture, anchor in zip(sample.anchor_frames, sample.anchor_classes, strict=True):
        assert AnchorClass(*CLASSES[level(picture)]) == anchor


def test_what_a_sample_lacks_is_none(folder: Path, tiny: Checkpoint) -> None:
    sample = take(dataset(folder, tiny), "b")
    assert sample.waveform is None
    assert sample.caption == ""


def test_conditions_are_dropped(folder: Path, tiny: Checkpoint) -> None:
    sample = take(dataset(folder, tiny, loss=LossOptions(drop_text=1, drop_audio=1, drop_anchors=1)), "a")
    assert (sample.caption, sample.waveform, sample.anchor_frames, sample.anchor_classes) == ("", None, None, ())
    assert sample.draws.drop_text


def test_a_deaf_network_gets_no_sound(folder: Path, tiny: Checkpoint) -> None:
    data = dataset(folder, tiny)
    data.geometry = replace(data.geometry, hears=False)
    assert take(data, "a").waveform is None


def test_a_part_of_a_clip_starts_where_it_was_drawn(folder: Path, tiny: Checkpoint) -> None:
    data = dataset(folder, tiny, frames=5)
    samples = [take(data, key, epoch) for key in "acd" for epoch in range(4)]
    for sample in samples:
        assert sample.frames is not None
        assert [level(frame) for frame in sample.frames] == list(range(sample.draws.first_frame, sample.draws.first_frame + 5))
    assert {sample.draws.first_frame for sample in samples} == {0, 4, 8}


def test_a_sample_is_a_function_of_seed_epoch_and_key(folder: Path, tiny: Checkpoint) -> None:
    options: dict[str, Any] = {"superset": SupersetOptions(), "augmentation": AugmentOptions(True, True, True)}
    first = take(dataset(folder, tiny, **options), "a")
    torch.manual_seed(3)
    again = dataset(folder, tiny, **options)
    take(again, "c")
    assert same(take(again, "a"), first)
    assert not same(take(again, "a", epoch=1), replace(first, epoch=1))
    assert not same(take(dataset(folder, tiny, seed=1, **options), "a"), first)


def test_a_mirrored_profile_finds_room_among_those_of_the_other_side(folder: Path, tiny: Checkpoint) -> None:
    data = dataset(folder, tiny, superset=replace(ALL_ANCHORS, most_per_class=4), augmentation=AugmentOptions(flip=True))
    for epoch in range(20):
        sample = take(data, "a", epoch)
        assert len(data.geometry.positions.of(sample.anchor_classes)) == 6
        codes = [(anchor.kind, anchor.subclass or 0) for anchor in sample.anchor_classes]
        assert codes == sorted(codes)
    assert any(AnchorClass(CLASSES[2][0], Viewpoint.RIGHT) in take(data, "a", epoch).anchor_classes[:2] for epoch in range(20))


def test_a_stand_in_is_blank_and_nothing_is_read_for_it(folder: Path, tiny: Checkpoint) -> None:
    data = dataset(folder, tiny)
    data.reader = None  # type: ignore[assignment]
    (blank,) = data[Place(2, row(data, "a"), counted=False)].samples
    assert blank.frames is not None
    assert blank.frames.shape == (13, HEIGHT, WIDTH, 3)
    assert not blank.frames.any()
    assert (blank.counted, blank.anchor_classes, blank.caption, blank.waveform) == (False, (), "", None)


@pytest.mark.parametrize("keep_pixels", [True, False])
def test_latents_ahead_are_the_latents_on_the_way_to_the_bit(tiny: Checkpoint, tmp_path: Path, keep_pixels: bool) -> None:
    area, samples = 32 * 32, [drawn_sample("a", frames=23), drawn_sample("b", audio=False)]
    write_shards(tmp_path / "pixels", samples, 2)
    write_shards(tmp_path / "latents", [encoded(sample, tiny, area, keep_pixels) for sample in samples], 2)
    options: dict[str, Any] = {"superset": SupersetOptions(), "frames": 9, "loss": LossOptions()}
    ahead, way = dataset(tmp_path / "latents", tiny, area, latents=True, **options), dataset(tmp_path / "pixels", tiny, area, **options)
    started = False
    for epoch in range(4):
        for key in "ab":
            one, other = take(ahead, key, epoch), take(way, key, epoch)
            assert one.draws == other.draws
            assert one.anchor_classes == other.anchor_classes
            assert other.frames is not None
            assert one.latents is not None
            assert (one.frames, one.anchor_frames, one.waveform) == (None, None, None)
            if one.draws.first_frame == 0:
                started = True
                assert torch.equal(one.latents, encode_frames(tiny.codec, other.frames))
            else:  # what comes after the first latent frame, which ahead of time stood for several frames
                assert torch.equal(one.latents[:, 1:], encode_frames(tiny.codec, other.frames)[:, 1:])
            assert (one.anchor_latents is None) == (other.anchor_frames is None)
            if one.anchor_latents is not None and other.anchor_frames is not None:
                assert torch.equal(one.anchor_latents, encode_anchors(tiny.codec, other.anchor_frames))
            assert (one.audio_features is None) == (other.waveform is None)
            if one.audio_features is not None and other.waveform is not None:
                assert torch.equal(one.audio_features, audio_features(tiny.audio_features, other.waveform))
    assert started
    (blank,) = ahead[Place(0, 0, counted=False)].samples
    assert blank.latents is not None
    assert blank.latents.shape == take(ahead, str(ahead.index.keys[0])).latents.shape  # type: ignore[union-attr]


def damaged(sample: Sample) -> Sample:
    """Its checksums are right, its video is not."""
    assert sample.video is not None
    return replace(sample, video=sample.video[: len(sample.video) // 3])


def test_a_damaged_sample_ends_the_training_or_is_skipped_and_counted(tiny: Checkpoint, tmp_path: Path) -> None:
    write_shards(tmp_path, [damaged(drawn_sample("bad")), drawn_sample("good")], 2)
    data = dataset(tmp_path, tiny)
    places = [Place(0, row(data, key)) for key in ("bad", "good")]
    with pytest.raises(TrainingError, match=r"bad: the video .* --data.leave-out bad; .* --data.skip-damaged"):
        data.__getitems__(places)
    batch = dataset(tmp_path, tiny, data=DataOptions(skip_damaged=True)).__getitems__(places)
    assert [sample.key for sample in batch.samples] == ["good"]
    assert [(skipped.key, skipped.reason.split(" ")[0]) for skipped in batch.skipped] == [("bad", "bad:")]
    batch = dataset(tmp_path, tiny, data=DataOptions(leave_out=("bad",))).__getitems__(places)
    assert [skipped.key for skipped in batch.skipped] == ["bad"]
    alone = dataset(tmp_path, tiny, data=DataOptions(skip_damaged=True)).__getitems__(places[:1])
    assert [sample.counted for sample in alone.samples] == [False]
    assert len(alone.skipped) == 1


def test_pixels_or_latents_that_are_not_there(folder: Path, tiny: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="a: has no latents; train on the pixels"):
        take(dataset(folder, tiny, latents=True), "a")
    write_shards(tmp_path, [encoded(drawn_sample("a"), tiny, AREA)], 1)
    with pytest.raises(TrainingError, match="a: has latents but no pixels"):
        take(dataset(tmp_path, tiny), "a")


def test_latents_that_do_not_belong_to_their_index(tiny: Checkpoint, tmp_path: Path) -> None:
    sample = encoded(drawn_sample("a"), tiny, 32 * 32)
    write_shards(tmp_path, [sample], 1)
    with pytest.raises(TrainingError, match="a: its latents are of another size"):
        take(dataset(tmp_path, tiny, latents=True), "a")
    data = dataset(tmp_path, tiny, 32 * 32, latents=True)
    data.index = replace(data.index, latents_key=latents_key(tiny, 99))
    with pytest.raises(TrainingError, match=r"a: its latents are of other networks .*: area 1024 instead of 99"):
        take(data, "a")
    anchors = sample.metadata.anchors[:5]
    write_shards(tmp_path / "fewer", [replace(sample, metadata=replace(sample.metadata, anchors=anchors))], 1)
    with pytest.raises(TrainingError, match="a: has latents of 6 anchors, not of 5"):
        take(dataset(tmp_path / "fewer", tiny, 32 * 32, latents=True), "a")


def test_options_that_cannot_be(folder: Path, tiny: Checkpoint) -> None:
    with pytest.raises(TrainingError, match="augment"):
        dataset(folder, tiny, latents=True, augmentation=AugmentOptions(colour=True))
    with pytest.raises(TrainingError, match=r"--superset"):
        dataset(folder, tiny, superset=SupersetOptions(count_weights=()))
    with pytest.raises(TrainingError, match=r"--loss.given-weights"):
        dataset(folder, tiny, loss=LossOptions(given_weights=()))
