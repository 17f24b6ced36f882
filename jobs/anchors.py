"""The command ``anchors``: one character's anchors with their pictures, as a parquet file or a folder, for whoever makes videos with them.

Only reads the output root. A picture is the whole frame at the anchor's time, in the video's own size.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import pyarrow as pa
from PIL import Image
from rich.console import Console
from rich.table import Table

from jobs import parts
from jobs.options import Anchors
from pipeline import storage
from pipeline.anchor_frames import anchor_jpegs, check_identity
from pipeline.failures import InputError
from pipeline.pack.tasks import packable_rows
from pipeline.video.decoders import open_decoder
from schemas.table import write_table
from schemas.tables import ANCHORS, CHARACTER_ANCHORS, VIDEOS
from schemas.vocabulary import AnchorKind, FailureKind, Status
from schemas.yaml_options import OptionsError

Row = Mapping[str, Any]

COLUMNS = ["anchor_id", "character_id", "video_id", "pts_ns", "kind", "subclass", "score", "face_box", "status", "rank"]
"""Columns of the anchors table that are looked at."""
JPEG_QUALITY = 95
PARQUET = ".parquet"


def export_anchors(command: Anchors, console: Console) -> int:
    """Write a character's anchors, or list the characters; gives how many characters were written.

    Raises:
        OptionsError: it is not said which character is meant, or there is no such character; the characters are listed. Or what is to be written is there.
        InputError: there are no anchors, or a picture of one cannot be had, or what is made cannot be written.
    """
    out = storage.absolute(command.out)
    by_character = _by_character(out, command.include_pending)
    if command.to is None:
        _list(out, by_character, console)
        return 0
    name = command.character
    if name is None and len(by_character) == 1:
        (name,) = by_character
    if name is None or name not in by_character:
        _list(out, by_character, console)
        said = f"{out} has anchors of {len(by_character)} characters" if name is None else f"{out} has no anchors of {name}"
        raise OptionsError(f"{said}: say with --character which one is meant")
    _refuse_what_is_there(command.to)
    rows = _with_pictures(out, _ranked(by_character[name]))
    if command.to.endswith(PARQUET):
        table = CHARACTER_ANCHORS.from_rows(rows)
        storage.write_atomic(command.to, lambda file: write_table(CHARACTER_ANCHORS, table, file))
    else:
        _write_folder(command.to, rows)
    console.print(f"{name}: {_counted(rows)} to {command.to}", markup=False, highlight=False, soft_wrap=True)
    return 1


def picture_name(row: Row) -> str:
    """The name of a picture in a folder: what it shows, and its rank where it is not the best."""
    words = [str(word) for word in (row["kind"], row["subclass"], row["rank"] or None) if word is not None]
    return f"{'-'.join(words)}.jpg"


def _by_character(out: str, include_pending: bool) -> dict[str, list[Row]]:
    """The rows that may be exported of each character, sorted by its id."""
    anchors = parts.read_parts(out, ANCHORS, columns=COLUMNS)
    found: dict[str, list[Row]] = defaultdict(list)
    for row in packable_rows(anchors, include_pending).to_pylist():
        if row["character_id"] is not None:
            found[row["character_id"]].append(row)
    if not found:
        raise InputError(FailureKind.NOT_FOUND, f"{out} has no accepted anchors: {_why_none(anchors)}")
    return dict(sorted(found.items()))


def _why_none(anchors: pa.Table) -> str:
    pending = packable_rows(anchors, include_pending=True).num_rows
    if pending:
        return f"{pending} wait for a judge; run refine, or take them too with --include-pending"
    return "no candidate was good enough, see the reasons in its table of anchors" if anchors.num_rows else "run observe and select first, or check --out"


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of their classes, the best of a class first, accepted ones before pending ones; ranked anew without holes."""
    ordered = sorted(rows, key=lambda row: (_class(row), row["status"] == Status.PENDING, row["rank"], row["anchor_id"]))
    seen: Counter[tuple[int, str]] = Counter()
    ranked: list[Row] = []
    for row in ordered:
        ranked.append({**row, "rank": seen[_class(row)]})
        seen[_class(row)] += 1
    return ranked


def _class(row: Row) -> tuple[int, str]:
    return int(AnchorKind.from_word(row["kind"])), row["subclass"] or ""


def _with_pictures(out: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows of the exported table; a character is seen in one video only."""
    (video_id,) = {str(row["video_id"]) for row in rows}
    uri = parts.read_part(out, VIDEOS, video_id, ["uri"])["uri"][0].as_py()
    with open_decoder(uri) as decoder:
        check_identity(decoder.index, [video_id])
        pictures = anchor_jpegs(decoder, (int(row["pts_ns"]) for row in rows), lambda frame: frame.rgb(), JPEG_QUALITY)
    finished = []
    for row in rows:
        picture = pictures[row["pts_ns"]]
        if isinstance(picture, InputError):
            raise picture
        with Image.open(BytesIO(picture)) as image:
            size = {"width": image.width, "height": image.height}
        finished.append({name: value for name, value in row.items() if name != "status"} | size | {"picture": picture})
    return finished


def _refuse_what_is_there(to: str) -> None:
    if to.endswith(PARQUET):
        if storage.exists(to):
            raise OptionsError(f"{to} is there already and is not written over: name a new file with --to, or remove this one first")
    elif storage.list_files(to):
        raise OptionsError(f"{to} has files already, and pictures of two characters must not mix: name a new folder, or a file that ends in {PARQUET}")


def _write_folder(folder: str, rows: Sequence[Row]) -> None:
    for row in rows:
        storage.write_atomic(storage.join(folder, picture_name(row)), row["picture"])


def _counted(rows: Sequence[Row]) -> str:
    """How many of each class: ``global 2, viewpoint front 4``."""
    counts = Counter(_class(row) for row in rows)
    return ", ".join(f"{AnchorKind(kind).word}{f' {subclass}' if subclass else ''} {number}" for (kind, subclass), number in sorted(counts.items()))


def _list(out: str, by_character: Mapping[str, Sequence[Row]], console: Console) -> None:
    """Print every character with its video and the number of anchors of each class."""
    uris = dict(zip(*(parts.read_parts(out, VIDEOS, columns=["video_id", "uri"])[name].to_pylist() for name in ("video_id", "uri")), strict=True))
    table = Table(title=f"characters with anchors in {out}")
    for column in ("character", "video", "anchors"):
        table.add_column(column, overflow="fold")
    for name, rows in by_character.items():
        table.add_row(name, storage.file_name(uris.get(rows[0]["video_id"], "")), _counted(rows))
    console.print(table)
