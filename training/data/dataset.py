"""From places in the order to samples: read, decoded, drawn for. What is random of a sample comes from (seed, epoch, key) alone."""

import math
from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from model.errors import ModelInputError
from model.flow import SigmaDistribution
from model.positions import AnchorClass
from model.samples.decode import decode_audio, decode_picture, decode_video
from model.samples.size import cropped_box
from schemas.latents import LATENTS, Latents, LatentsError
from schemas.sample import Sample, SampleError, member_name
from training.data.augment import augment
from training.data.draws import check_weights, draws_of, generator_of
from training.data.geometry import Bucket, SampleGeometry
from training.data.index import ShardIndex
from training.data.places import Place
from training.data.reader import ShardReader
from training.data.sample import Draws, MicroBatch, Skipped, TrainingSample
from training.data.superset import check_superset, class_code, class_of, draw_anchors
from training.errors import TrainingError
from training.options import AugmentOptions, DataOptions, LossOptions, SupersetOptions

BLANK = Draws(first_frame=0, given=0, sigma=0.5, noise_seed=0, drop_text=True, drop_audio=True, drop_anchors=True)
"""The choices of a stand-in."""


class ShardDataset(Dataset[MicroBatch]):
    """The samples of an index, as the trainer takes them; a ``torch.utils.data.DataLoader`` asks for a micro-batch at a time."""

    def __init__(
        self,
        index: ShardIndex,
        reader: ShardReader,
        geometry: SampleGeometry,
        data: DataOptions,
        superset: SupersetOptions,
        augmentation: AugmentOptions,
        loss: LossOptions,
        seed: int,
        sigmas: SigmaDistribution,
        use_latents: bool,
    ) -> None:
        """Nothing is read yet.

        Args:
            index: of the samples.
            reader: of the shards.
            geometry: sizes and lengths.
            data: which samples are passed over, and whether damaged ones are.
            superset: which anchors are drawn.
            augmentation: how they are changed.
            loss: what else is drawn.
            seed: of all that is drawn.
            sigmas: distribution of the noise level.
            use_latents: take what was encoded ahead instead of the pixels.

        Raises:
            TrainingError: options that cannot be.
        """
        check_superset(superset)
        check_weights("--loss.given-weights", loss.given_weights)
        if use_latents and any(astuple(augmentation)):
            raise TrainingError("anchors can be augmented as pixels only, latents are as they were encoded; turn --augment off, or say --data.source pixels")
        self.index, self.reader, self.geometry = index, reader, geometry
        self._skip_damaged, self._left_out = data.skip_damaged, frozenset(data.leave_out)
        self._superset, self._augmentation, self._loss, self._seed, self._sigmas = superset, augmentation, loss, seed, sigmas
        self._use_latents = use_latents
        # a mirrored profile joins the class of the other side, which must have room for it
        self._most_repeats = geometry.positions.most_repeats // (2 if augmentation.flip else 1)

    def __getitem__(self, place: Place) -> MicroBatch:
        """A micro-batch of one."""
        return self.__getitems__([place])

    def __getitems__(self, places: Sequence[Place]) -> MicroBatch:
        """The samples of a micro-batch, or a stand-in if all are skipped.

        Args:
            places: all of one bucket; one or more.

        Raises:
            TrainingError: a sample that cannot be read, and damaged ones are not to be skipped; a shard that is not there.
        """
        taken = [self._take(place) for place in places]
        samples = tuple(one for one in taken if isinstance(one, TrainingSample))
        skipped = tuple(one for one in taken if isinstance(one, Skipped))
        return MicroBatch(samples or (self._stand_in(places[0]),), skipped)

    def _take(self, place: Place) -> TrainingSample | Skipped:
        if not place.counted:
            return self._stand_in(place)
        key = str(self.index.keys[place.row])
        if key in self._left_out:
            return Skipped(key, f"{key}: named by --data.leave-out")
        try:
            return self._sample(place, key)
        except (SampleError, LatentsError, ModelInputError) as error:
            if self._skip_damaged:
                return Skipped(key, str(error))
            raise TrainingError(
                f"{error}. To go on without this sample: --data.leave-out {key}; without any that cannot be read, each counted: --data.skip-damaged"
            ) from error

    def _sample(self, place: Place, key: str) -> TrainingSample:
        sample, bucket = self.reader.read(place.row), self._bucket(place.row)
        draws = draws_of(self._seed, place.epoch, key, self._loss, self._sigmas, sample.metadata.frame_count, self.geometry.temporal_factor, bucket.frames)
        drawn = [] if draws.drop_anchors else self._draw_anchors(place, key, sample)
        made = self._from_latents if self._use_latents else self._from_pixels
        return made(place, sample, bucket, draws, drawn)

    def _draw_anchors(self, place: Place, key: str, sample: Sample) -> list[int]:
        return draw_anchors(sample.metadata.anchors, self._superset, generator_of(self._seed, place.epoch, key, "superset"), self._most_repeats)

    def _from_pixels(self, place: Place, sample: Sample, bucket: Bucket, draws: Draws, drawn: list[int]) -> TrainingSample:
        metadata = sample.metadata
        key = metadata.clip_id
        if sample.video is None:
            raise SampleError(f"{key}: has latents but no pixels; train on them (--data.source latents), or on the shards that they were encoded from")
        frames = _to_be_handed_over((bucket.frames, bucket.height, bucket.width, 3))
        decode_video(sample.video, draws.first_frame, bucket.frames, bucket.width, bucket.height, key, out=frames.numpy())
        classes, pictures = self._pictures(place, sample, bucket, drawn)
        heard = self.geometry.hears and not draws.drop_audio and sample.audio is not None
        return TrainingSample(
            key=key,
            epoch=place.epoch,
            counted=True,
            caption=_caption(sample, draws),
            frames=frames,
            latents=None,
            anchor_classes=classes,
            anchor_frames=pictures,
            anchor_latents=None,
            waveform=torch.from_numpy(decode_audio(sample.audio, key)) if heard and sample.audio is not None else None,
            audio_features=None,
            text_embedding=None,
            frame_rate=metadata.frame_rate,
            draws=draws,
        )

    def _pictures(self, place: Place, sample: Sample, bucket: Bucket, drawn: list[int]) -> tuple[tuple[AnchorClass, ...], Tensor | None]:
        """Classes and pictures (K, H, W, 3) of the drawn anchors, ordered by class."""
        metadata = sample.metadata
        shown = []
        for number in drawn:
            anchor = metadata.anchors[number]
            rgb = decode_picture(sample.anchors[number], bucket.width, bucket.height, member_name(metadata.clip_id, anchor.file))
            box = None if anchor.box is None else cropped_box(anchor.box, metadata.width, metadata.height, bucket.width, bucket.height)
            generator = generator_of(self._seed, place.epoch, metadata.clip_id, f"augment {anchor.file}")
            shown.append(augment(rgb, class_of(anchor), box, self._augmentation, generator))
        shown.sort(key=lambda one: class_code(one[1]))
        classes = tuple(anchor for _, anchor in shown)
        return classes, torch.from_numpy(np.stack([rgb for rgb, _ in shown])) if shown else None

    def _from_latents(self, place: Place, sample: Sample, bucket: Bucket, draws: Draws, drawn: list[int]) -> TrainingSample:
        key, latents = sample.metadata.clip_id, self._latents(sample)
        first = draws.first_frame // self.geometry.temporal_factor
        video = latents.video[:, first : first + self.geometry.latent_frames(bucket)]
        channels, _, *size = shape = self.geometry.latent_shape(bucket)
        anchors = None if not drawn or latents.anchors is None else latents.anchors[drawn]
        if video.shape != shape or (drawn and (anchors is None or anchors.shape[1:] != (channels, *size))):
            raise SampleError(f"{key}: its latents are of another size than the clip of its index, {video.shape} instead of {shape}; encode its shard again")
        return TrainingSample(
            key=key,
            epoch=place.epoch,
            counted=True,
            caption=_caption(sample, draws),
            frames=None,
            latents=_float32(video),
            anchor_classes=tuple(class_of(sample.metadata.anchors[number]) for number in drawn),
            anchor_frames=None,
            anchor_latents=None if anchors is None else _float32(anchors),
            waveform=None,
            audio_features=None if latents.audio is None or draws.drop_audio or not self.geometry.hears else _float32(latents.audio),
            text_embedding=None if latents.text is None or draws.drop_text else _float32(latents.text),
            frame_rate=sample.metadata.frame_rate,
            draws=draws,
        )

    def _latents(self, sample: Sample) -> Latents:
        key = sample.metadata.clip_id
        if sample.latents is None:
            raise SampleError(f"{key}: has no latents; train on the pixels (--data.source pixels), or encode its shard")
        latents = Latents.from_bytes(sample.latents, member_name(key, LATENTS))
        if self.index.latents_key is not None and latents.key != self.index.latents_key:
            differences = ", ".join(self.index.latents_key.differences(latents.key))
            raise SampleError(f"{key}: its latents are of other networks than its index says: {differences}; encode its shard again")
        if latents.anchors is not None and len(latents.anchors) != len(sample.metadata.anchors):
            raise SampleError(f"{key}: has latents of {len(latents.anchors)} anchors, not of {len(sample.metadata.anchors)}; encode its shard again")
        return latents

    def _stand_in(self, place: Place) -> TrainingSample:
        """A blank sample of the place's bucket, without any condition."""
        bucket = self._bucket(place.row)
        return TrainingSample(
            key=str(self.index.keys[place.row]),
            epoch=place.epoch,
            counted=False,
            caption="",
            frames=None if self._use_latents else torch.zeros(bucket.frames, bucket.height, bucket.width, 3, dtype=torch.uint8),
            latents=torch.zeros(self.geometry.latent_shape(bucket)) if self._use_latents else None,
            anchor_classes=(),
            anchor_frames=None,
            anchor_latents=None,
            waveform=None,
            audio_features=None,
            text_embedding=None,
            frame_rate=float(self.index.frame_rate[place.row]),
            draws=BLANK,
        )

    def _bucket(self, row: int) -> Bucket:
        index = self.index
        return self.geometry.bucket(int(index.width[row]), int(index.height[row]), int(index.frame_count[row]))


def _to_be_handed_over(shape: tuple[int, ...]) -> Tensor:
    """Memory for pixels; in a worker it is shared with the trainer from the start, which saves copying them there."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    return torch.empty(0, dtype=torch.uint8).set_(torch.UntypedStorage._new_shared(math.prod(shape))).view(shape)


def _caption(sample: Sample, draws: Draws) -> str:
    return "" if draws.drop_text else sample.metadata.caption or ""


def _float32(numbers: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(numbers, np.float32))
