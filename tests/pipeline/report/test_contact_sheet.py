import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageDraw

from pipeline.report import contact_sheet
from pipeline.report.contact_sheet import GAP, LABELS, MARGIN, SCENE, contact_sheets, spoken_counts
from pipeline.report.style import KIND_COLOURS, PAPER
from pipeline.video.index import VideoError
from schemas.tables import ANCHORS, CHARACTERS
from schemas.vocabulary import AnchorKind, Expression
from tests.barcode import Kind, Written, read_number, write_video
from tests.pipeline.report.drawn_tables import ANNA, BEN, anchor, anchors, character, characters, judged, pending

TOP = 130
"""Where the first picture begins: below the header and the title of the kind."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", Kind.B_FRAMES, frames=60)


def scenes(png: bytes, written: Written, count: int) -> list[int]:
    """The numbers of the frames that are shown as global anchors."""
    sheet = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    width = round(SCENE * written.width / written.height)
    left = MARGIN + LABELS
    return [read_number(sheet[TOP : TOP + SCENE, left + cell * (width + GAP) : left + cell * (width + GAP) + width]) for cell in range(count)]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is written on the sheets."""
    written: list[str] = []
    draw_text = ImageDraw.ImageDraw.text

    def remember(self: ImageDraw.ImageDraw, place: tuple[float, float], text: str, *rest: object, **options: object) -> None:
        written.append(text)
        draw_text(self, place, text, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", remember)
    return written


def test_each_character_gets_its_own_frames_at_their_times_the_best_first(video: Written) -> None:
    first, second, third = video.pts_ns[3], video.pts_ns[17], video.pts_ns[44]
    sheets = dict(contact_sheets(str(video.path), characters(), anchors((first, second, third))))
    assert list(sheets) == [ANNA, BEN]
    assert scenes(sheets[ANNA], video, 2) == [44, 17]


def test_characters_beyond_a_group_are_read_in_another_pass(video: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_sheet, "TOGETHER", 1)
    rows = [anchor(video.pts_ns[number], "global", None, owner=f"c{number:02d}") for number in (40, 2, 21)]
    people = CHARACTERS.from_rows([character(row["character_id"]) for row in rows])
    for name, png in contact_sheets(str(video.path), people, ANCHORS.from_rows(rows)):
        assert scenes(png, video, 1) == [int(name[1:])]


def test_what_is_written(video: Written, texts: list[str]) -> None:
    list(contact_sheets(str(video.path), characters(), anchors((1_000_000_000, 1_500_000_000, 2_000_000_000))))
    assert {ANNA, BEN, "clip.mp4", "front", "none: right, back", "00:01.500", "yaw -70°  score 0.50", "p 0.90  score 0.50"} <= set(texts)
    assert any("purity 0.97" in text and "2.0 s visible" in text and "1 shot " in text for text in texts)
    assert texts.count("1 blurred") == 1, "the empty bin of happy says why it is empty"
    assert "no class: 1 ambiguous angle" in texts


def test_pending_anchors_come_after_the_accepted_ones_whatever_their_rank(video: Written) -> None:
    rows = [
        pending(video.pts_ns[3], "global", None, rank=0),
        judged(video.pts_ns[17], "global", None, "accept", rank=1),
        anchor(video.pts_ns[30], "global", None, "judged_blurred"),
    ]
    ((_, png),) = contact_sheets(str(video.path), CHARACTERS.from_rows([character(ANNA)]), ANCHORS.from_rows(rows))
    assert scenes(png, video, 2) == [17, 3]


def outline(png: bytes, cell: int, written: Written) -> list[tuple[int, ...]]:
    """The colours along the upper edge of a global anchor's picture."""
    width = round(SCENE * written.width / written.height)
    left = MARGIN + LABELS + cell * (width + GAP)
    return [tuple(pixel) for pixel in np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[TOP, left : left + width].tolist()]


def test_the_outline_of_a_pending_anchor_is_dashed(video: Written) -> None:
    rows = [judged(video.pts_ns[3], "global", None, "accept"), pending(video.pts_ns[17], "global", None, rank=1)]
    ((_, png),) = contact_sheets(str(video.path), CHARACTERS.from_rows([character(ANNA)]), ANCHORS.from_rows(rows))
    colour = ImageColor.getrgb(KIND_COLOURS[AnchorKind.GLOBAL])
    assert set(outline(png, 0, video)) == {colour}
    dashed = outline(png, 1, video)
    assert set(dashed) == {colour, ImageColor.getrgb(PAPER)}
    assert 0.4 < dashed.count(colour) / len(dashed) < 0.7


def test_who_was_judged_and_who_waits_is_written(video: Written, texts: list[str]) -> None:
    times = iter(video.pts_ns[::2])
    rows = [
        judged(next(times), "expression", "happy", "accept", rank=1),
        judged(next(times), "expression", "happy", "relabel", rank=0, selected_subclass="surprise"),
        judged(next(times), "expression", "happy", "relabel", rank=2, selected_subclass=None, likeliest="sad"),
        pending(next(times), "expression", "happy", rank=3),
        pending(next(times), "expression", "sad", "timed_out"),
        pending(next(times), "expression", "sad", "connection_lost", rank=1),
        anchor(next(times), "expression", "fear"),
        anchor(next(times), "expression", "fear", "judged_speaking", decision="reject"),
    ]
    list(contact_sheets(str(video.path), CHARACTERS.from_rows([character(ANNA)]), ANCHORS.from_rows(rows)))
    marks = [text for text in texts if text in ("✓ was surprise", "judge ✓", "✓ was sad?", "pending")]
    assert marks == ["✓ was surprise", "judge ✓", "✓ was sad?", "pending", "pending", "pending"]
    assert {"not asked  score 0.50", "timed out  score 0.50", "connection lost  score 0.50"} <= set(texts)
    counts = [text for text in texts if re.fullmatch(r"\d+ (anchors?|pending)", text)]
    assert counts == ["3 anchors", "1 pending", "2 pending", "1 anchor"]


def test_a_bin_with_nothing_but_pending_anchors_is_no_empty_bin(video: Written, texts: list[str]) -> None:
    list(contact_sheets(str(video.path), CHARACTERS.from_rows([character(ANNA)]), ANCHORS.from_rows([pending(video.pts_ns[0], "viewpoint", "left")])))
    assert "none: front, right, back" in texts
    assert not any("not asked" in text and "1" in text for text in texts), "it is not among those that were dropped"


def test_every_text_below_a_picture_keeps_to_its_cell(video: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest words there are: time and mark share a line."""
    spans: list[tuple[float, float, float]] = []
    draw_text = ImageDraw.ImageDraw.text

    def remember(self: ImageDraw.ImageDraw, place: tuple[float, float], text: str, *rest: Any, **options: Any) -> None:
        left, _, right, _ = self.textbbox(place, text, rest[1], anchor=options.get("anchor"))
        spans.append((place[1], left, right))
        draw_text(self, place, text, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", remember)
    rows = [
        judged(video.pts_ns[0], "expression", "contempt", "relabel", selected_subclass=None, likeliest="surprise"),
        judged(video.pts_ns[4], "expression", "contempt", "relabel", rank=1, selected_subclass="surprise"),
        pending(video.pts_ns[8], "expression", "contempt", "connection_lost", rank=2),
        pending(video.pts_ns[8], "global", None, "connection_lost"),
    ]
    list(contact_sheets(str(video.path), CHARACTERS.from_rows([character(ANNA)]), ANCHORS.from_rows(rows)))
    for y, left, right in spans:
        assert all(not (left < other < right) for near, other, _ in spans if 0 < abs(near - y) <= 1), (y, left, right)


def test_a_character_without_anchors_still_has_a_sheet(video: Written, texts: list[str]) -> None:
    ((_, png),) = contact_sheets(
        str(video.path), CHARACTERS.from_rows([character(BEN)]), ANCHORS.from_rows([anchor(0, "viewpoint", "back", "cut_off", owner=BEN)])
    )
    assert Image.open(io.BytesIO(png)).size[0] == contact_sheet.WIDTH
    assert "1 cut off" in texts
    assert "none: scene" in texts
    assert "none: front, left, right" in texts
    assert f"none: {', '.join(Expression.words())}" in texts


def test_bins_without_candidates_take_one_line(video: Written, texts: list[str]) -> None:
    def height(*rows: dict[str, Any]) -> int:
        ((_, png),) = contact_sheets(str(video.path), CHARACTERS.from_rows([character(ANNA)]), ANCHORS.from_rows(rows))
        return Image.open(io.BytesIO(png)).size[1]

    one = anchor(video.pts_ns[0], "viewpoint", "front")
    few = height(one)
    assert "none: left, right, back" in texts
    others = [anchor(video.pts_ns[number], "viewpoint", word, "blurred") for number, word in enumerate(("left", "right"), 1)]
    assert height(one, *others) - few == len(others) * contact_sheet.SLIM
    assert "none: back" in texts


def test_many_anchors_break_into_lines(video: Written) -> None:
    def height(count: int) -> int:
        rows = [anchor(video.pts_ns[number], "expression", "happy", rank=number) for number in range(count)]
        ((_, png),) = contact_sheets(str(video.path), CHARACTERS.from_rows([character(ANNA)]), ANCHORS.from_rows(rows))
        return Image.open(io.BytesIO(png)).size[1]

    assert height(1) == height(4) < height(6)


def test_nobody_needs_no_video() -> None:
    assert list(contact_sheets("missing.mp4", CHARACTERS.empty(), ANCHORS.empty())) == []


def test_a_missing_video_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError):
        list(contact_sheets(str(tmp_path / "missing.mp4"), characters(), anchors()))


def test_counts_are_spoken_the_most_frequent_first() -> None:
    assert spoken_counts(Counter(too_dark=2, blurred=5, cut_off=2)) == "5 blurred   2 cut off   2 too dark"
    assert spoken_counts(Counter({str(number): number for number in range(1, 9)}), most=2) == "8 8   7 7   21 other"
    assert spoken_counts(Counter()) == ""
