"""The attention to anchors on disk: a line of JSON per chunk, beside the chunk log."""

import json
import os
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from model.disk import disk_error
from model.errors import ModelInputError

NAME = "attention.jsonl"
"""In the folder of a run."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class ChunkAttention:
    """What ``model.attention_record`` found in a chunk.

    Attributes:
        chunk: its number.
        first_frame: number in the video of the frame that latent 0 stands for.
        seconds: the middle of what each latent frame shows.
        anchors: what each anchor shows, as AnchorClass says it: ``viewpoint left``.
        mass: the share of each anchor, for each latent frame.
        video: the share of the video itself, for each latent frame.
        prompt: what the chunk was made from.
    """

    chunk: int
    first_frame: int
    seconds: list[float]
    anchors: list[str]
    mass: list[list[float]]
    video: list[float]
    prompt: str = ""

    def __post_init__(self) -> None:
        """Check that the lists go together."""
        if not len(self.seconds) == len(self.mass) == len(self.video) or any(len(row) != len(self.anchors) for row in self.mass):
            raise ValueError(f"the lists of chunk {self.chunk} do not go together")

    @classmethod
    def of(cls, chunk: int, first_frame: int, seconds: list[float], anchors: list[str], masses: Tensor, prompt: str = "") -> "ChunkAttention":
        """From the result of an AttentionRecord."""
        rows = [[round(mass, _DIGITS) for mass in row] for row in masses.tolist()]
        return cls(chunk, first_frame, seconds, anchors, [row[:-1] for row in rows], [row[-1] for row in rows], prompt)


def latent_seconds(first_frame: int, latents: int, temporal_factor: int, rate: Fraction) -> list[float]:
    """The middle of what each latent frame of a chunk shows: of one frame the first, of ``temporal_factor`` frames each other one."""
    ends = [first_frame + temporal_factor * latent + 1 for latent in range(latents)]
    lengths = [1, *[temporal_factor] * (latents - 1)]
    return [round(float((end - Fraction(length, 2)) / rate), _DIGITS) for end, length in zip(ends, lengths, strict=True)]


def append(path: Path, row: ChunkAttention) -> None:
    """Add a chunk; it is on the disk afterwards.

    Raises:
        ModelInputError: the disk is full, or cannot be written any more.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_error(path, error) from error


def read(path: Path) -> list[ChunkAttention]:
    """Every chunk that was written whole; what comes behind the last end of a line was cut off by a crash.

    Raises:
        ModelInputError: there is no such file, or it is none of ours.
    """
    if not path.is_file():
        raise ModelInputError(f"{path} is not there; generate the video with the attention recorded")
    *lines, _ = path.read_bytes().split(b"\n")
    try:
        return [ChunkAttention(**json.loads(line)) for line in lines]
    except (ValueError, TypeError) as error:
        raise ModelInputError(f"{path} is no record of attention ({error}); give the {NAME} of a run") from error


def cut(path: Path, chunks: int) -> None:
    """Forget the chunks from number ``chunks`` on, and half a line, so that a run can go on there. A file that is not there stays away."""
    if not path.exists():
        return
    kept = "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in read(path) if row.chunk < chunks)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(kept, encoding="utf-8")
    temporary.replace(path)
