"""One picture per character: its anchors, bin by bin, and what became of the candidates of the bins that are empty.

Anchors that wait for a judge come last in their bin, with a dashed outline; those that were judged bear a mark.
Bins that never had a candidate share a line, so that they do not drown the pictures.
"""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image, ImageDraw

from pipeline.report.crops import picture
from pipeline.report.style import EMPTY, FAINT, INK, JUDGED, KIND_COLOURS, LINE, PAPER, WAITING, bins, clock, font, spoken
from pipeline.video.decoders import Backend, open_decoder
from schemas.vocabulary import AnchorKind, Decision, Status

Row = dict[str, Any]

WIDTH, MARGIN, LABELS, GAP = 1120, 28, 116, 12
DASH = 5
"""Length of a dash of a pending anchor's outline, in pixels."""
PICTURE, SCENE, CAPTION = 190, 260, 40
"""Heights of a cell's picture, of a global anchor's, and of the two lines below it, in pixels."""
NARROWEST = 150
"""Width that a cell's caption needs, in pixels."""
SLIM = 32
"""Height of an empty bin's row."""
FOOTER = 22
"""Height of a line below a kind's bins."""
TOGETHER = 32
"""Characters whose pictures are held at once: one forward pass over the video for each that many."""


@dataclass(frozen=True)
class _Sheet:
    """What one sheet shows.

    Attributes:
        character: its row of the characters table.
        video_name: the file's name.
        anchors: accepted rows of each bin, the best first, then the pending ones.
        dropped: of each bin, how many candidates of that class were rejected for which reason.
        unclassified: of each kind, the same for candidates without a class.
    """

    character: Row
    video_name: str
    anchors: dict[tuple[AnchorKind, str | None], list[Row]]
    dropped: dict[tuple[AnchorKind, str | None], Counter[str]]
    unclassified: dict[AnchorKind, Counter[str]]


def contact_sheets(uri: str, characters: pa.Table, anchors: pa.Table, backend: Backend = "pyav", threads: int = 1) -> Iterator[tuple[str, bytes]]:
    """The contact sheets of one video's characters.

    Args:
        uri: of the video; its frames are read at the anchors' times, in forward passes over the anchors of TOGETHER characters at once.
        characters: rows of the characters table, of this video alone.
        anchors: rows of the anchors table of this video, the rejected ones too; rows of other characters are left out.
        backend: decoder.
        threads: of the decoder.

    Yields:
        character_id and the sheet as the bytes of a PNG file, in the order of the character ids.

    Raises:
        VideoError: the video cannot be read.
    """
    sheets = [_sheet(row, uri, anchors) for row in characters.sort_by("character_id").to_pylist()]
    if not sheets:
        return
    with open_decoder(uri, backend, threads) as decoder:
        for first in range(0, len(sheets), TOGETHER):
            group = sheets[first : first + TOGETHER]
            wanted = sorted((row for sheet in group for rows in sheet.anchors.values() for row in rows), key=lambda row: int(row["pts_ns"]))
            moments = [(pts_ns, list(rows)) for pts_ns, rows in groupby(wanted, key=lambda row: int(row["pts_ns"]))]
            pictures: dict[str, Image.Image] = {}
            for frame, (_, rows) in zip(decoder.read([pts_ns for pts_ns, _ in moments]), moments, strict=True):
                pixels = frame.rgb()
                for row in rows:
                    kind = AnchorKind.from_word(row["kind"])
                    pictures[row["anchor_id"]] = picture(pixels, kind, row["face_box"], row["body_box"], _picture_height(kind))
            for sheet in group:
                yield sheet.character["character_id"], _png(draw_sheet(sheet, pictures))


def _sheet(character: Row, uri: str, anchors: pa.Table) -> _Sheet:
    own = anchors.filter(pc.equal(anchors["character_id"], character["character_id"]))
    status = own["status"].cast(pa.string())
    rejected = pc.equal(status, Status.REJECTED)
    shown: dict[tuple[AnchorKind, str | None], list[Row]] = {bin_: [] for bin_ in bins()}
    for row in own.filter(pc.invert(rejected)).to_pylist():
        shown[AnchorKind.from_word(row["kind"]), row["subclass"]].append(row)
    dropped: dict[tuple[AnchorKind, str | None], Counter[str]] = {bin_: Counter() for bin_ in bins()}
    unclassified: dict[AnchorKind, Counter[str]] = {kind: Counter() for kind in AnchorKind}
    words = [own.filter(rejected)[name].cast(pa.string()).to_pylist() for name in ("kind", "subclass", "reason")]
    for (word, subclass, reason), number in Counter(zip(*words, strict=True)).items():
        kind = AnchorKind.from_word(word)
        (dropped[kind, subclass] if (kind, subclass) in dropped else unclassified[kind])[reason] += number
    return _Sheet(
        character=character,
        video_name=PurePosixPath(uri.replace("\\", "/")).name,
        anchors={bin_: sorted(rows, key=_place) for bin_, rows in shown.items()},
        dropped=dropped,
        unclassified=unclassified,
    )


def _place(row: Row) -> tuple[bool, int]:
    """Accepted anchors come before pending ones."""
    return _is_pending(row), row["rank"]


def _is_pending(row: Row) -> bool:
    return bool(row["status"] == Status.PENDING)


def draw_sheet(sheet: _Sheet, pictures: dict[str, Image.Image]) -> Image.Image:
    """The sheet as an image; ``pictures`` holds each anchor's picture by anchor_id."""
    rows = {bin_: _lines(anchors, pictures) for bin_, anchors in sheet.anchors.items() if anchors or sheet.dropped[bin_]}
    footers = {kind: _footers(sheet, kind) for kind in AnchorKind}
    height = (
        118
        + sum(max(SLIM, len(lines) * (_picture_height(kind) + CAPTION + GAP)) for (kind, _), lines in rows.items())
        + FOOTER * sum(map(len, footers.values()))
    )
    height += 38 * len(AnchorKind) + MARGIN
    image = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(image)
    y = _header(draw, sheet)
    for kind in AnchorKind:
        y = _kind_title(draw, kind, y)
        for (own_kind, subclass), lines in rows.items():
            if own_kind == kind:
                y = _bin(image, draw, kind, subclass, lines, sheet.dropped[kind, subclass], pictures, y)
        for footer in footers[kind]:
            draw.text((MARGIN + LABELS, y + 2), _fit(footer, 12, WIDTH - 2 * MARGIN - LABELS), FAINT, font(12))
            y += FOOTER
    return image.crop((0, 0, WIDTH, y + MARGIN // 2))


def _footers(sheet: _Sheet, kind: AnchorKind) -> list[str]:
    """What is said below a kind's bins: candidates that are in no bin, bins that have no candidates."""
    unclassified = spoken_counts(sheet.unclassified[kind])
    none = [
        subclass or "scene" for (own_kind, subclass), anchors in sheet.anchors.items() if own_kind == kind and not (anchors or sheet.dropped[kind, subclass])
    ]
    return [text for text in (unclassified and f"no class: {unclassified}", none and f"none: {', '.join(none)}") if text]


def _picture_height(kind: AnchorKind) -> int:
    return SCENE if kind == AnchorKind.GLOBAL else PICTURE


def _lines(anchors: list[Row], pictures: dict[str, Image.Image]) -> list[list[Row]]:
    """Anchors broken into lines that fit the sheet's width."""
    lines: list[list[Row]] = []
    room = 0
    for anchor in anchors:
        width = max(NARROWEST, pictures[anchor["anchor_id"]].width) + GAP
        if not lines or width > room:
            lines.append([])
            room = WIDTH - 2 * MARGIN - LABELS + GAP
        lines[-1].append(anchor)
        room -= width
    return lines


def _header(draw: ImageDraw.ImageDraw, sheet: _Sheet) -> int:
    row = sheet.character
    draw.text((MARGIN, 22), row["character_id"], INK, font(24, bold=True))
    draw.text((WIDTH - MARGIN, 30), _fit(sheet.video_name, 15, 500), FAINT, font(15), anchor="ra")
    facts = [f"{row['seconds_visible']:.1f} s visible", _plural(row["shots"], "shot"), _plural(row["tracks"], "track"), _plural(row["faces"], "face")]
    facts += ["known by its track alone"] if row["purity"] is None else [f"purity {row['purity']:.2f}", f"cohesion {row['cohesion']:.2f}"]
    if row["nearest_other"] is not None:
        facts.append(f"nearest other {row['nearest_other']:.2f}")
    facts.append(f"{clock(row['start_ns'])} – {clock(row['end_ns'])}")
    draw.text((MARGIN, 60), "   ·   ".join(facts), INK, font(14))
    return 92


def _kind_title(draw: ImageDraw.ImageDraw, kind: AnchorKind, y: int) -> int:
    draw.line((MARGIN, y + 6, WIDTH - MARGIN, y + 6), LINE, 1)
    draw.text((MARGIN, y + 14), kind.word.upper(), KIND_COLOURS[kind], font(13, bold=True))
    return y + 38


def _bin(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    kind: AnchorKind,
    subclass: str | None,
    lines: list[list[Row]],
    dropped: Counter[str],
    pictures: dict[str, Image.Image],
    y: int,
) -> int:
    """Draw one bin and return where the next one starts."""
    left = MARGIN + LABELS
    if not lines:
        draw.rounded_rectangle((left, y + 2, WIDTH - MARGIN, y + SLIM - 4), 4, EMPTY)
        draw.text((MARGIN, y + 7), subclass or "scene", FAINT, font(15))
        draw.text((left + 10, y + 8), _fit(spoken_counts(dropped), 12, WIDTH - MARGIN - left - 20), FAINT, font(12))
        return y + SLIM
    draw.text((MARGIN, y + 4), subclass or "scene", INK, font(15, bold=True))
    _count(draw, [row for line in lines for row in line], y + 26)
    for line in lines:
        x = left
        for row in line:
            thumbnail = pictures[row["anchor_id"]]
            image.paste(thumbnail, (x, y))
            _outline(draw, (x, y, x + thumbnail.width - 1, y + thumbnail.height - 1), KIND_COLOURS[kind], _is_pending(row))
            below, width = y + _picture_height(kind), max(NARROWEST, thumbnail.width)
            draw.text((x, below + 4), clock(row["pts_ns"]), INK, font(13, bold=True))
            draw.text((x + width, below + 5), _mark(row), WAITING if _is_pending(row) else JUDGED, font(12), anchor="ra")
            draw.text((x, below + 21), _fit(_caption(kind, row), 12, width), FAINT, font(12))
            x += width + GAP
        y += _picture_height(kind) + CAPTION + GAP
    return y


def _count(draw: ImageDraw.ImageDraw, rows: list[Row], y: int) -> None:
    """How many anchors a bin has and how many of them are pending, in two lines: the labels' column is narrow."""
    pending = sum(map(_is_pending, rows))
    accepted = len(rows) - pending
    counts = [_plural(accepted, "anchor")] if accepted else []
    counts += [f"{pending} pending"] if pending else []
    for number, text in enumerate(counts):
        draw.text((MARGIN, y + 16 * number), text, FAINT, font(12))


def _outline(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: str, dashed: bool) -> None:
    if not dashed:
        draw.rectangle(box, outline=colour)
        return
    left, top, right, bottom = box
    draw.rectangle(box, outline=PAPER, width=2)
    for x in range(left, right, 2 * DASH):
        for y in (top, bottom):
            draw.line((x, y, min(x + DASH, right), y), colour)
    for y in range(top, bottom, 2 * DASH):
        for x in (left, right):
            draw.line((x, y, x, min(y + DASH, bottom)), colour)


def _mark(row: Row) -> str:
    """What a judge said; nothing where none was asked."""
    if _is_pending(row):
        return "pending"
    if row["decision"] == Decision.RELABEL:
        return f"✓ was {row['selected_subclass'] or row['likeliest'] + '?'}"
    return "judge ✓" if row["decision"] == Decision.ACCEPT else ""


def _caption(kind: AnchorKind, row: Row) -> str:
    """What the choice was decided by; of a pending anchor, what it waits for."""
    score = f"score {row['score']:.2f}"
    if _is_pending(row):
        return f"{spoken(row['reason'])}  {score}"
    if kind == AnchorKind.EXPRESSION:
        return f"p {row['confidence']:.2f}  {score}"
    angle = "no angle" if row["yaw"] is None else f"yaw {round(row['yaw']):+d}°"
    return f"{angle}  {score}"


def spoken_counts(counts: Counter[str], most: int = 6) -> str:
    """Numbers by reason in words, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = "   ".join(f"{number} {spoken(reason)}" for reason, number in ordered[:most])
    rest = sum(number for _, number in ordered[most:])
    return f"{text}   {rest} other" if rest else text


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _fit(text: str, size: int, width: int) -> str:
    """Text shortened to a width in pixels."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=False, compress_level=6)
    return file.getvalue()
