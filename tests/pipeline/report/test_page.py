import base64
import io
import re
from collections.abc import Sequence
from html.parser import HTMLParser

import pytest
from PIL import Image

from pipeline.refine.verdicts import Verdict
from pipeline.report.figures import draw_overview
from pipeline.report.overview import Overview
from pipeline.report.page import Card, html_page
from schemas.tables import ANCHORS, CLIPS
from tests.pipeline.report.drawn_tables import ANNA, BEN, anchors, character, characters, clips, judged, pending, problem, shots, tracks, verdict, verdicts


def sheet(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


def page(cards: list[Card], title: str = "A run", answers: Sequence[Verdict] = ()) -> str:
    overview = Overview()
    overview.add(shots(), tracks(), characters(), anchors(), clips())
    if answers:
        rows = [pending(0, "expression", "happy"), judged(1, "global", None, "accept"), judged(2, "global", None, "reject", reason="judged_unclear")]
        overview.add(shots(), tracks(), characters(), ANCHORS.from_rows(rows), CLIPS.empty())
        overview.verdicts.add(answers)
    return html_page(title, overview, draw_overview(overview), cards)


class Nesting(HTMLParser):
    """Complains about tags that are closed in another order than they were opened."""

    VOID = frozenset({"meta", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_but_itself_and_links_the_sheets() -> None:
    text = page([Card(character(ANNA), "walk.mp4", f"characters/{ANNA}.png", sheet("red")), Card(character(BEN), "talk.mp4", f"characters/{BEN}.png")])
    sources = re.findall(r'src="([^"]*)"', text)
    assert len(sources) == 5
    for source in sources:
        kind, data = source.split(",", 1)
        assert kind.startswith("data:image/")
        Image.open(io.BytesIO(base64.b64decode(data))).load()
    assert re.findall(r'href="([^"]*)"', text) == [f"characters/{ANNA}.png", f"characters/{BEN}.png"]
    assert not re.search(r"https?://", text)


def test_sheets_are_shown_as_they_are() -> None:
    text = page([Card(character(ANNA), "walk.mp4", "a.png", sheet("#ff0000"))])
    jpeg = re.findall(r"data:image/jpeg;base64,([^\"]*)", text)[0]
    red, green, blue = Image.open(io.BytesIO(base64.b64decode(jpeg))).resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 15


def test_a_character_says_how_many_anchors_it_has() -> None:
    text = page([Card(character(ANNA), "walk.mp4", "a.png", anchors=number) for number in (0, 1, 2)])
    assert re.findall(r"(no anchors|1 anchor|2 anchors) ·", text) == ["no anchors", "1 anchor", "2 anchors"]


def test_a_character_says_how_many_anchors_wait() -> None:
    text = page([Card(character(ANNA), "walk.mp4", "a.png", anchors=number, pending=2) for number in (0, 3)])
    assert re.findall(r'<span class="faint">([^·]*) ·', text) == ["no anchors, 2 pending", "3 anchors, 2 pending"]


def test_without_a_judge_nothing_is_said_of_one() -> None:
    text = page([])
    assert "Judge" not in text
    assert text.count("<img") == 4


def test_what_was_asked_and_what_came_of_it_is_on_the_page() -> None:
    text = page([], answers=verdicts())
    assert "<h2>Judge</h2>" in text
    assert text.count("<img") == 5
    for fact in ("<b>7</b>questions", "<b>5</b>answered", "<b>4000</b>tokens read", "<b>309</b>tokens written", "<b>2.2 s</b>per reply, on average"):
        assert fact in text
    for name, number in (
        ("judge_of/faces", 7),
        ("caption, version 2", 1),
        ("accept", 1),
        ("reject", 1),
        ("judged unclear", 1),
        ("timed out", 1),
        ("invalid json", 1),
    ):
        assert f"<td>{name}</td><td>{number}</td>" in text


def test_a_judge_that_never_answered_has_no_latency() -> None:
    text = page([], answers=[problem(1)])
    assert "<b>0</b>answered" in text
    assert "per reply" not in text


def test_a_models_name_cannot_break_the_page() -> None:
    assert "<script>alert" not in page([], answers=[verdict(1, model="<script>alert(1)</script>")])


@pytest.mark.parametrize("answers", [(), verdicts()], ids=["not judged", "judged"])
def test_tags_are_closed(answers: Sequence[Verdict]) -> None:
    parser = Nesting()
    parser.feed(page([Card(character(ANNA), "walk.mp4", "a.png", sheet("red")), Card(character(BEN), "talk.mp4", "b.png")], answers=answers))
    assert parser.open == []


def test_names_cannot_break_the_page() -> None:
    text = page([Card(character(ANNA), "<script>alert(1)</script>.mp4", 'a"onclick="alert(2).png')], title="<b>&")
    assert "<script>alert" not in text
    assert '"onclick' not in text
    assert "<title>&lt;b&gt;&amp;</title>" in text


def test_numbers_of_the_run_are_on_it() -> None:
    text = page([])
    for fact in (
        "<b>1</b>videos",
        "<b>2 s</b>of video",
        "<b>2</b>characters",
        "<b>6</b>anchors",
        "<b>0</b>pending anchors",
        "<b>1</b>clips",
        "<b>0</b>captioned",
    ):
        assert fact in text
    assert "<b>1</b>pending anchors" in page([], answers=verdicts())
    assert "<td>too few faces</td><td>1</td>" in text
    assert "Nobody was seen" in text


def test_thousands_of_linked_characters_stay_small() -> None:
    few, many = page([]), page([Card(character(ANNA), "walk.mp4", "a.png")] * 5000)
    assert len(many) - len(few) < 5000 * 400
