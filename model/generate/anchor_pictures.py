"""The pictures of a character that a video is made with: from a folder, from a sample of a shard, or from the file that ``python -m jobs anchors`` writes.

In a folder, a picture's name says what it shows: ``global.jpg``, ``viewpoint-left.png``, ``expression-happy-2.jpg``; the number tells those of one class apart.
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from model.errors import ModelInputError
from model.positions import AnchorClass, AnchorPositions
from schemas.sample import SampleError, metadata_from_json
from schemas.table import TABLE_KEY, TableSchemaError, TableVersionError, read_table
from schemas.tables import ANCHORS, CHARACTER_ANCHORS
from schemas.vocabulary import AnchorKind

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
"""Suffixes of what is a picture; other files in a folder are left alone."""
MOST_LOST, MOST_ENLARGED = 0.25, 4.0
"""How much of a picture's area may be cropped away, and how many times its sides may grow, to make it the video's size."""

_EXPORT = "`python -m jobs anchors --out OUT --to FILE.parquet`"
_NUMBER = re.compile(r"(.*?)(?:-(\d+))?")
_SAMPLE_PICTURE = re.compile(r".+\.anchor-\d+\.jpg")


@dataclass(frozen=True, slots=True, eq=False)
class AnchorPicture:
    """One anchor.

    Attributes:
        anchor: what it shows.
        rgb: (H, W, 3).
        name: what to call it in a message.
        score: 0..1, higher is better; None when nobody gave one.
    """

    anchor: AnchorClass
    rgb: NDArray[np.uint8]
    name: str
    score: float | None


@dataclass(frozen=True, slots=True)
class _Found:
    """A picture that was not read yet; rank orders those of a class, the best first."""

    anchor: AnchorClass
    rank: float
    name: str
    score: float | None
    content: Callable[[], bytes]


def read_anchors(
    path: Path, at_most: int = AnchorPositions().most_repeats, kinds: Collection[AnchorKind] | None = None, character: str | None = None
) -> list[AnchorPicture]:
    """The anchors that lie somewhere, in the order of their classes' codes, of each class the best first.

    Args:
        path: a folder of pictures that are named by what they show; a sample of a shard, as a folder (KEY.json, KEY.anchor-00.jpg …) or as its KEY.json; or a
            parquet file of the table character_anchors.
        at_most: anchors of one class; the best are taken (by score or rank, in a folder of pictures by number). The anchor positions allow no more than
            their most_repeats.
        kinds: only these; all when None.
        character: of whom, where a file holds several.

    Raises:
        ModelInputError: nothing there that could be used; the message says what was found and what to do.
    """
    if at_most < 1:
        raise ModelInputError(f"at most {at_most} anchors of a class is none; leave the anchors out altogether instead")
    found = sorted(_find(path, character), key=lambda one: (one.anchor.kind, one.anchor.subclass or 0, one.rank, one.name))
    if not found:
        raise ModelInputError(f"{path} holds no anchors; put pictures there, named {_names()}")
    wanted = [one for one in found if kinds is None or one.anchor.kind in kinds]
    if not wanted:
        there = ", ".join(sorted({one.anchor.kind.word for one in found}))
        raise ModelInputError(f"{path} holds no anchors of the kinds wanted, only {there}; ask for those")
    seen: Counter[AnchorClass] = Counter()
    pictures = []
    for one in wanted:
        seen[one.anchor] += 1
        if seen[one.anchor] <= at_most:
            pictures.append(AnchorPicture(one.anchor, _decoded(one.name, one.content()), one.name, one.score))
    return pictures


def fit(pictures: Sequence[AnchorPicture], width: int, height: int) -> list[AnchorPicture]:
    """Pictures of the video's size: scaled until they cover it, then cropped about their middle.

    Args:
        pictures: of any sizes.
        width, height: of the video, pixels.

    Raises:
        ModelInputError: more than a quarter of a picture would be lost, or it would have to be enlarged more than four times.
    """
    return [replace(picture, rgb=fit_picture(picture.rgb, width, height, picture.name)) for picture in pictures]


def fit_picture(rgb: NDArray[np.uint8], width: int, height: int, name: str) -> NDArray[np.uint8]:
    """One picture (H, W, 3), as ``fit`` does it; ``name`` is what messages call it."""
    old_height, old_width, _ = rgb.shape
    scale = max(width / old_width, height / old_height)
    kept_width, kept_height = width / scale, height / scale
    lost = 1 - kept_width * kept_height / (old_width * old_height)
    if lost > MOST_LOST:
        raise ModelInputError(
            f"{name} is {old_width}x{old_height}: to fill a video of {width}x{height}, {lost:.0%} of it would be cropped away; "
            f"crop it to that shape yourself, around the character, or choose a video size of its shape"
        )
    if scale > MOST_ENLARGED:
        raise ModelInputError(
            f"{name} is {old_width}x{old_height}: to fill a video of {width}x{height} it would be enlarged {scale:.1f} times; "
            f"take a picture that has {-(-width // int(MOST_ENLARGED))}x{-(-height // int(MOST_ENLARGED))} pixels at least, or make a smaller video"
        )
    left, top = (old_width - kept_width) / 2, (old_height - kept_height) / 2
    box = (left, top, left + kept_width, top + kept_height)
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS, box=box), np.uint8)


def class_of_name(stem: str) -> tuple[AnchorClass, int]:
    """What a picture's name, without its suffix, says it shows, and its number.

    Raises:
        ModelInputError: it says nothing of the kind; the message lists the words.
    """
    match = _NUMBER.fullmatch(stem.lower())
    words = match[1].split("-") if match else []
    try:
        if len(words) > 2:
            raise ValueError
        return AnchorClass.from_words(words[0], words[1] if len(words) == 2 else None), int(match[2] or 0) if match else 0
    except ValueError:
        raise ModelInputError(
            f"the name {stem!r} does not say what the picture shows; call it {_names()}, with a number behind it if there are several"
        ) from None


def _names() -> str:
    return ", ".join(str(anchor).replace(" ", "-") for anchor in AnchorClass.all())


def _find(path: Path, character: str | None) -> list[_Found]:
    """All that is there, unread."""
    if not path.exists():
        raise ModelInputError(f"there are no anchors at {path}: no such file or folder; check the path")
    if path.is_file():
        if path.suffix == ".json":
            return _of_sample(path)
        if path.suffix == ".parquet":
            return _of_table(path, character)
        raise ModelInputError(f"{path} is neither a folder of pictures nor a parquet file of anchors; give one of them")
    if (path / ANCHORS.name).is_dir() or any(path.glob("*.parquet")):
        raise ModelInputError(f"{path} holds tables, which have no pictures; write the pictures with {_EXPORT} and give that file")
    if any(_SAMPLE_PICTURE.fullmatch(file.name) for file in path.iterdir()):
        samples = sorted(path.glob("*.json"))
        if len(samples) != 1:
            raise ModelInputError(
                f"{path} holds {len(samples)} samples' KEY.json beside their pictures, not one; give the KEY.json of the sample that is meant"
            )
        return _of_sample(samples[0])
    return _of_folder(path)


def _of_folder(folder: Path) -> list[_Found]:
    found = []
    for file in sorted(folder.iterdir()):
        if file.is_file() and not file.name.startswith(".") and file.suffix.lower() in PICTURES:
            try:
                anchor, number = class_of_name(file.stem)
            except ModelInputError as error:
                raise ModelInputError(f"{file}: {error}") from None
            found.append(_Found(anchor, number, str(file), None, file.read_bytes))
    return found


def _of_sample(path: Path) -> list[_Found]:
    try:
        metadata = metadata_from_json(path.stem, path.read_bytes())
    except SampleError as error:
        raise ModelInputError(f"{path} is not a shard's sample that can be read: {error}") from error
    found = []
    for anchor in metadata.anchors:
        file = path.with_name(f"{path.stem}.{anchor.file}")
        if not file.exists():
            raise ModelInputError(f"{file} is missing, which {path.name} names; extract the whole sample from its shard")
        found.append(_Found(AnchorClass(anchor.kind, anchor.subclass), -(anchor.score or 0.0), str(file), anchor.score, file.read_bytes))
    return found


def _of_table(path: Path, character: str | None) -> list[_Found]:
    rows = _rows(path)
    characters = sorted({str(name) for name in rows["character_id"].to_pylist()})
    if character is not None and character not in characters:
        raise ModelInputError(f"{path} has no anchors of {character}; it has those of {', '.join(characters) or 'nobody'}")
    if character is None and len(characters) > 1:
        raise ModelInputError(f"{path} has anchors of {len(characters)} characters; say with --character which one is meant: {', '.join(characters)}")
    found = []
    for row in rows.to_pylist():
        if character in (None, row["character_id"]):
            anchor, name = AnchorClass.from_words(row["kind"], row["subclass"]), f"{path}: {row['anchor_id']}"
            found.append(_Found(anchor, row["rank"], name, row["score"], lambda content=row["picture"]: content))  # type: ignore[misc]
    return found


def _rows(path: Path) -> pa.Table:
    try:
        metadata = pq.read_schema(path).metadata or {}
        if metadata.get(TABLE_KEY, b"").decode() == ANCHORS.name:
            raise ModelInputError(f"{path} is the table of anchors, which has no pictures; write them with {_EXPORT} and give that file")
        return read_table(CHARACTER_ANCHORS, str(path))
    except pa.ArrowInvalid as error:
        raise ModelInputError(f"{path} is not a parquet file; write one with {_EXPORT}") from error
    except (TableSchemaError, TableVersionError) as error:
        raise ModelInputError(f"{error}; write the anchors with {_EXPORT}") from error


def _decoded(name: str, content: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.uint8)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ModelInputError(f"{name} cannot be read as a picture ({error}); replace it or leave it out") from error
