"""Which chunk makes which frames of a video.

Latent 0 of a chunk stands for one frame, each later latent for ``temporal_factor`` frames, so a chunk of F latents shows 1 + f (F - 1) frames. A later
chunk begins with p prefix latents, which show 1 + f (p - 1) frames that the chunk before has shown as its last; hence it begins f (F - p) frames after it.
Every chunk is of full length: what the last one shows beyond the video's end is dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from model.errors import ModelInputError
from model.positions import AnchorPositions

LATENTS, PREFIX = 21, 2
"""Latents of a chunk (Wan's 81 frames at a temporal factor of 4), and how many of them are taken over from the chunk before."""

Number = int | float | Fraction


@dataclass(frozen=True, slots=True)
class Chunk:
    """One run of the sampler.

    Attributes:
        number: from 0.
        frames: numbers in the video of the frames it shows; the first is g0, the one that latent 0 stands for.
        new: those of them that no chunk before has shown and that lie in the video.
        rate: frames per second.
    """

    number: int
    frames: range
    new: range
    rate: Fraction

    @property
    def first(self) -> int:
        """g0."""
        return self.frames.start

    @property
    def overlap(self) -> int:
        """Frames that the chunk before has shown too."""
        return self.new.start - self.frames.start

    @property
    def surplus(self) -> int:
        """Frames beyond the video's end, which are dropped."""
        return self.frames.stop - self.new.stop

    @property
    def new_at(self) -> Fraction:
        """Seconds from the video's start to the first new frame."""
        return self.new.start / self.rate


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """A video cut into chunks that overlap.

    Attributes:
        total: frames of the video.
        rate: frames per second.
        latents: per chunk.
        prefix: latents of a later chunk that the one before gives it.
        temporal_factor: frames per latent but the first.
        longest_chunk: latents that the anchors' positions leave room for, see AnchorPositions.

    Raises:
        ModelInputError: a number out of its range; the message says which.
    """

    total: int
    rate: Fraction = Fraction(16)
    latents: int = LATENTS
    prefix: int = PREFIX
    temporal_factor: int = 4
    longest_chunk: int = AnchorPositions().longest_chunk

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.total < 1:
            raise ModelInputError(f"a video of {self.total} frames cannot be made; ask for one frame at least")
        if self.rate <= 0:
            raise ModelInputError(f"a video cannot have {self.rate} frames per second; give a rate above 0")
        if self.temporal_factor < 1:
            raise ModelInputError(f"the codec's temporal factor is {self.temporal_factor}; it must be 1 at least")
        if self.latents > self.longest_chunk:
            raise ModelInputError(
                f"a chunk of {self.latents} latents would reach to where the anchors stand, beyond {self.longest_chunk} latents; "
                "take shorter chunks or anchor positions that begin later"
            )
        if not 1 <= self.prefix < self.latents:
            raise ModelInputError(
                f"{self.prefix} prefix latents do not fit into a chunk of {self.latents} latents; the prefix must be 1 at least and shorter than the chunk"
            )

    @property
    def length(self) -> int:
        """Frames that each chunk shows."""
        return 1 + self.temporal_factor * (self.latents - 1)

    @property
    def overlap(self) -> int:
        """Frames that two neighbouring chunks both show."""
        return 1 + self.temporal_factor * (self.prefix - 1)

    @property
    def stride(self) -> int:
        """Frames from the beginning of a chunk to the beginning of the next."""
        return self.length - self.overlap

    @property
    def seconds(self) -> Fraction:
        """The video's length."""
        return self.total / self.rate

    def __len__(self) -> int:
        return 1 + max(0, -(-(self.total - self.length) // self.stride))

    def __getitem__(self, number: int) -> Chunk:
        """A chunk by its number.

        Raises:
            IndexError: there is no such chunk.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"the plan has chunks 0 to {len(self) - 1}, not {number}")
        first = number * self.stride
        frames = range(first, first + self.length)
        return Chunk(number, frames, range(first + (self.overlap if number else 0), min(frames.stop, self.total)), self.rate)

    def __iter__(self) -> Iterator[Chunk]:
        return (self[number] for number in range(len(self)))


def exact_rate(rate: Number) -> Fraction:
    """Frames per second as a fraction: those of a float are read as the nearest with a denominator of 1001 at most, as films have (24000/1001).

    Raises:
        ModelInputError: not a number above 0.
    """
    try:
        exact = Fraction(rate).limit_denominator(1001)
    except (ValueError, OverflowError) as error:  # nan, infinity
        raise ModelInputError(f"a video cannot have {rate} frames per second; give a rate above 0") from error
    if exact <= 0:
        raise ModelInputError(f"a video cannot have {rate} frames per second; give a rate above 0")
    return exact


def frames_in(seconds: Number, rate: Fraction) -> tuple[int, str | None]:
    """The number of frames that a length asks for, and a sentence to show when it had to be rounded up to the next whole frame.

    Args:
        seconds: the length; a float stands for the decimal number that it is written as.
        rate: frames per second.

    Raises:
        ModelInputError: not a length above 0.
    """
    try:
        asked = Fraction(str(seconds))
    except ValueError as error:
        raise ModelInputError(f"a video cannot last {seconds} seconds; give a number above 0") from error
    if asked <= 0:
        raise ModelInputError(f"a video cannot last {seconds} seconds; give a number above 0")
    frames = -(-asked * rate // 1)
    if frames == asked * rate:
        return frames, None
    return (
        frames,
        f"{seconds} s are {float(asked * rate):.2f} frames at {float(rate):g} frames per second; the video gets {frames}, {float(frames / rate):.4f} s",
    )
