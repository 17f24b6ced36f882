import base64
import io
import re
from html.parser import HTMLParser

from PIL import Image

from pipeline.report.figures import draw_overview
from pipeline.report.overview import Overview
from pipeline.report.page import Card, html_page
from tests.pipeline.report.drawn_tables import ANNA, BEN, anchors, character, characters, clips, shots, tracks


def sheet(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "PNG")
    return file.getvalue()


def page(cards: list[Card], title: str = "A run") -> str:
    overview = Overview()
    overview.add(shots(), tracks(), characters(), anchors(), clips())
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


def test_tags_are_closed() -> None:
    parser = Nesting()
    parser.feed(page([Card(character(ANNA), "walk.mp4", "a.png", sheet("red")), Card(character(BEN), "talk.mp4", "b.png")]))
    assert parser.open == []


def test_names_cannot_break_the_page() -> None:
    text = page([Card(character(ANNA), "<script>alert(1)</script>.mp4", 'a"onclick="alert(2).png')], title="<b>&")
    assert "<script>alert" not in text
    assert '"onclick' not in text
    assert "<title>&lt;b&gt;&amp;</title>" in text


def test_numbers_of_the_run_are_on_it() -> None:
    text = page([])
    for fact in ("<b>1</b>videos", "<b>2 s</b>of video", "<b>2</b>characters", "<b>6</b>anchors", "<b>1</b>clips"):
        assert fact in text
    assert "<td>too few faces</td><td>1</td>" in text
    assert "Nobody was seen" in text


def test_thousands_of_linked_characters_stay_small() -> None:
    few, many = page([]), page([Card(character(ANNA), "walk.mp4", "a.png")] * 5000)
    assert len(many) - len(few) < 5000 * 400
