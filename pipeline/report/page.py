"""The report as one self-contained HTML page: figures, numbers, and a searchable list of characters with their contact sheets."""

import base64
import html
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pipeline.report.overview import Overview
from pipeline.report.style import spoken

FIGURES = {
    "bins": "Anchors",
    "funnel": "From sampled frames to anchors",
    "angles": "Angles",
    "expressions": "Expressions",
}
"""The names and titles of the figures that every page has, in its order."""

JUDGE = "verdicts"
"""The name of the figure that a page has when a judge was asked."""

STYLE = """
:root { color-scheme: light; --ink: #22303c; --faint: #5f6f7c; --line: #c9d3dc; --soft: #f3f6f8; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1160px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.faint, td:first-child { color: var(--faint); } img { max-width: 100%; height: auto; }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; padding: 0; list-style: none; }
.facts li { background: var(--soft); border-radius: 6px; padding: .4rem .9rem; } .facts b { display: block; font-size: 1.2rem; }
.tables { display: flex; flex-wrap: wrap; gap: 3rem; } td { padding: 0 1.2rem 0 0; } td + td { text-align: right; font-variant-numeric: tabular-nums; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .45rem .8rem; border: 1px solid var(--line); border-radius: 6px; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; } details[open] summary { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; padding: .5rem .9rem; } summary a { float: right; }
"""

SEARCH = """
document.getElementById("search").addEventListener("input", event => {
  const words = event.target.value.toLowerCase().split(/\\s+/);
  for (const card of document.querySelectorAll("details"))
    card.hidden = !words.every(word => card.querySelector("summary").textContent.toLowerCase().includes(word));
});
"""


@dataclass(frozen=True)
class Card:
    """A character on the page.

    Attributes:
        character: its row of the characters table.
        video_name: shown beside it, and found by the search.
        link: the contact sheet's address as seen from the page, such as ``characters/ID.png``.
        sheet: the contact sheet's PNG bytes to show it inside the page; None to link it only.
        anchors: how many it has.
        pending: how many more wait for a judge.
    """

    character: Mapping[str, Any]
    video_name: str
    link: str
    sheet: bytes | None = None
    anchors: int = 0
    pending: int = 0


def html_page(title: str, overview: Overview, figures: Mapping[str, bytes], cards: Iterable[Card]) -> str:
    """The page.

    Args:
        title: of the page, for example the name of the output folder.
        overview: numbers of the run.
        figures: PNG files by name, as draw_overview gives them.
        cards: one for each character, in the order they are to be shown. The page holds the sheets that are given (as JPEG, some
            100 KB each) and links to the others, so that it stays small enough to open for a run of any size.
    """
    pictures = "".join(f"<h2>{html.escape(name)}</h2>{_figure(name, figures[key])}" for key, name in FIGURES.items())
    judge = _judge(overview, figures[JUDGE]) if JUDGE in figures else ""
    shown = "".join(map(_card, cards))
    dropped = _table("tracks", _spoken(overview.dropped_tracks)) + _table("clips", _spoken(overview.dropped_clips))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1>{html.escape(title)}</h1><p class="faint">Content anchors from raw video</p>{_list(_facts(overview))}{pictures}{judge}'
        f'<h2>Tracks and clips that were dropped</h2><div class="tables">{dropped}</div>'
        f'<h2>Characters</h2><input id="search" type="search" placeholder="find a character or video">'
        f"{shown or '<p>Nobody was seen well enough to become a character.</p>'}<script>{SEARCH}</script></body></html>\n"
    )


def _facts(overview: Overview) -> dict[str, object]:
    return {
        "videos": overview.videos,
        "of video": _duration(overview.seconds),
        "sampled frames": overview.sampled,
        "people in them": overview.observations,
        "characters": overview.characters,
        "anchors": overview.anchors.total(),
        "pending anchors": overview.pending.total(),
        "clips": overview.clips,
        "captioned clips": overview.captioned,
    }


def _judge(overview: Overview, figure: bytes) -> str:
    """Who judged, what was asked, what came of it, and what it took."""
    sums = overview.verdicts
    facts: dict[str, object] = {"questions": sums.questions.total(), "answered": sums.answered}
    facts |= {"tokens read": sums.prompt_tokens, "tokens written": sums.completion_tokens}
    if sums.mean_latency is not None:
        facts["per reply, on average"] = f"{sums.mean_latency:.1f} s"
    prompts = Counter({f"{prompt}, version {version}": number for (prompt, version), number in sums.prompts.items()})
    asked = _table("models", sums.models) + _table("prompts", prompts)
    became = _table("candidates", overview.decisions) + _table("refused", _spoken(overview.refused)) + _table("without an answer", _spoken(sums.problems))
    return f'<h2>Judge</h2>{_list(facts)}{_figure("Judge", figure)}<div class="tables">{asked}{became}</div>'


def _list(facts: Mapping[str, object]) -> str:
    return '<ul class="facts">' + "".join(f"<li><b>{value}</b>{name}</li>" for name, value in facts.items()) + "</ul>"


def _figure(name: str, png: bytes) -> str:
    return f'<img alt="{html.escape(name)}" src="{_embedded(png)}">'


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min" if seconds < 36000 else f"{seconds / 3600:.0f} h"


def _table(name: str, counts: Counter[str]) -> str:
    rows = "".join(f"<tr><td>{html.escape(text)}</td><td>{number}</td></tr>" for text, number in counts.most_common())
    return f"<table><caption>{name}</caption>{rows or '<tr><td>none</td></tr>'}</table>"


def _spoken(counts: Counter[Any]) -> Counter[str]:
    return Counter({spoken(word): number for word, number in counts.items()})


def _card(card: Card) -> str:
    row = card.character
    number = f"{card.anchors} anchor{'' if card.anchors == 1 else 's'}" if card.anchors else "no anchors"
    pending = f", {card.pending} pending" if card.pending else ""
    facts = f"{number}{pending} · {row['seconds_visible']:.1f} s visible · {row['shots']} shots · " + (
        "known by its track alone" if row["purity"] is None else f"purity {row['purity']:.2f}"
    )
    link = html.escape(card.link, quote=True)
    name = html.escape(row["character_id"])
    summary = f'<a href="{link}">picture</a><b>{name}</b> · {html.escape(card.video_name)} · <span class="faint">{facts}</span>'
    if card.sheet is None:
        return f"<details><summary>{summary}</summary></details>"
    return f'<details open><summary>{summary}</summary><img alt="anchors of {name}" src="{_embedded(_as_jpeg(card.sheet), "jpeg")}"></details>'


def _as_jpeg(png: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(file, "JPEG", quality=82)
    return file.getvalue()


def _embedded(picture: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
