"""What is trained of a clip: its size and length after it was scaled down and cut. Clips that are alike in these are a size bucket."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.errors import ModelInputError
from model.positions import AnchorPositions
from model.samples.encode import fitting_frames, size_multiple
from model.samples.size import scaled_size
from training.data.index import ShardIndex
from training.errors import TrainingError


class Bucket(NamedTuple):
    """What the samples of a batch have in common: pixels across and down, and frames."""

    width: int
    height: int
    frames: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, {self.frames} frames"


@dataclass(frozen=True, slots=True)
class SampleGeometry:
    """How clips are brought to what a network takes.

    Attributes:
        area: upper bound of width x height, in pixels.
        multiple: both are multiples of it.
        temporal_factor, channels, spatial_factor: of the codec.
        frames: that are trained of a clip, 1 + a multiple of temporal_factor; None for all.
        hears: the network takes sound.
        positions: where anchors stand in time: how many of a class, and behind how many latent frames.
    """

    area: int
    multiple: int
    temporal_factor: int
    channels: int
    spatial_factor: int
    frames: int | None
    hears: bool
    positions: AnchorPositions = field(default_factory=AnchorPositions)

    @classmethod
    def of(cls, checkpoint: Checkpoint, area: int | None = None, frames: int | None = None) -> Self:
        """That of a network.

        Args:
            checkpoint: the network and its codec.
            area: the checkpoint's own when None.
            frames: all when None.

        Raises:
            TrainingError: a number of frames that the codec does not take, or no area.
        """
        factor = checkpoint.codec.temporal_factor
        if frames is not None and (frames < 1 or (frames - 1) % factor):
            fitting = fitting_frames(max(frames, 1), factor)
            raise TrainingError(f"--data.frames {frames}: this codec takes 1 + a multiple of {factor} frames; say {fitting} or {fitting + factor}")
        if area is not None and area < 1:
            raise TrainingError(f"--data.area {area}: must be the number of pixels that a frame may have, 1 or more")
        config = checkpoint.transformer.config
        return cls(
            checkpoint.usage.area if area is None else area,
            size_multiple(checkpoint),
            factor,
            checkpoint.codec.channels,
            checkpoint.codec.spatial_factor,
            frames,
            config.audio_dim is not None,
            checkpoint.transformer.anchor_positions,
        )

    def bucket(self, width: int, height: int, frame_count: int) -> Bucket:
        """What is trained of a clip.

        Args:
            width, height: of the clip, in pixels.
            frame_count: of the whole clip.

        Raises:
            ModelInputError: it is too small, or longer than the network's positions for video.
        """
        across, down = scaled_size(width, height, self.area, self.multiple)
        fitting = fitting_frames(frame_count, self.temporal_factor)
        bucket = Bucket(across, down, fitting if self.frames is None else min(self.frames, fitting))
        if self.latent_frames(bucket) > self.positions.longest_chunk:
            longest = 1 + (self.positions.longest_chunk - 1) * self.temporal_factor
            raise ModelInputError(
                f"{bucket.frames} frames are more than this network has positions for; train on a part of them: --data.frames {longest} at most"
            )
        return bucket

    def latent_frames(self, bucket: Bucket) -> int:
        """Latent frames that a bucket's clips become."""
        return 1 + (bucket.frames - 1) // self.temporal_factor

    def latent_shape(self, bucket: Bucket) -> tuple[int, int, int, int]:
        """(C, f, h, w) that a bucket's clips become."""
        return self.channels, self.latent_frames(bucket), bucket.height // self.spatial_factor, bucket.width // self.spatial_factor

    def buckets(self, index: ShardIndex) -> tuple[NDArray[np.int64], list[Bucket]]:
        """The buckets of all samples.

        Returns:
            (N,) the number of each sample's bucket, and the buckets.

        Raises:
            TrainingError: clips that cannot be trained on; the message names one.
        """
        sizes, kind = np.unique(np.stack([index.width, index.height, index.frame_count], axis=1), axis=0, return_inverse=True)
        each = [self._bucket(index, np.flatnonzero(kind == number), size) for number, size in enumerate(sizes.tolist())]
        buckets = sorted(set(each))
        return np.array([buckets.index(bucket) for bucket in each], np.int64)[kind], buckets

    def _bucket(self, index: ShardIndex, rows: NDArray[np.intp], size: Sequence[int]) -> Bucket:
        width, height, frame_count = size
        try:
            return self.bucket(width, height, frame_count)
        except ModelInputError as error:
            raise TrainingError(f"{len(rows)} clips cannot be trained on, {index.keys[rows[0]]} for one: {error}") from error
