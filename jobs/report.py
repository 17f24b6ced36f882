"""The stage ``report``: a contact sheet per character, made by workers, then the figures and the page of the whole.

Sheets are made anew when what was selected or judged changes; figures and page when any video's rows do; all of them when they are gone.
``report/state.json`` is written last and holds the hash of what the page was made from, and which figures are on it.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs import ledger, parts, verdict_parts
from jobs.engine import Stateless
from jobs.failure_log import FailureLog
from jobs.ledger import DoneUnit
from jobs.stage import Job, StageSummary, UnitResult, run_stage
from pipeline import storage
from pipeline.report import ReportOptions
from pipeline.report.contact_sheet import contact_sheets
from pipeline.report.figures import draw_overview
from pipeline.report.overview import Overview
from pipeline.report.page import JUDGE, Card, html_page
from schemas import tables
from schemas.vocabulary import Stage, Status

FOLDER = "report"
SHEETS = "characters"
PAGE, STATE = "index.html", "state.json"


@dataclass(frozen=True)
class ReportUnit:
    """A video that was selected from, judged or not, and the sheets that lie there already, whoever drew them."""

    source: str
    video_id: str
    segments: int
    input_hash: str
    start_ns: int
    end_ns: int
    sheets: tuple[str, ...] = ()

    @property
    def media_seconds(self) -> float:
        """Only the anchors' frames are read: the video's length says nothing."""
        return 0.0

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True)
class ReportWork(Stateless):
    """Draws the contact sheets of a video's characters."""

    out: str
    options: ReportOptions
    config_hash: str
    name: str = "report"

    def __call__(self, unit: ReportUnit) -> UnitResult:
        """Draw the sheets; raises VideoError when the video cannot be read."""
        started = time.perf_counter()
        characters = parts.read_part(self.out, tables.CHARACTERS, unit.video_id)
        anchors = parts.read_part(self.out, tables.ANCHORS, unit.video_id)
        ledger.withdraw(self.out, Stage.REPORT, unit.video_id)
        drawn = set()
        for character_id, png in contact_sheets(unit.source, characters, anchors, self.options.decoder, self.options.threads):
            storage.write_atomic(_sheet(self.out, character_id), png)
            drawn.add(_sheet(self.out, character_id))
        for sheet in set(unit.sheets) - drawn:
            storage.remove(sheet)
        counts, seconds = {"sheets": len(drawn)}, {"sheets": time.perf_counter() - started}
        ledger.commit(self.out, DoneUnit(Stage.REPORT, unit.video_id, 0, unit.start_ns, unit.end_ns, self.config_hash, unit.input_hash, counts, seconds))
        return UnitResult(counts, seconds)


def report(job: Job, options: ReportOptions) -> StageSummary:
    """Bring the contact sheets, figures and page in line with the tables. The page counts as a unit when it is written.

    Raises:
        InputError: the storage failed while the page was written.
    """
    config_hash = ledger.config_hash(Stage.REPORT, {"decoder": options.decoder})
    observed = ledger.by_video(ledger.load(job.out, Stage.OBSERVE).values())
    selected = {unit.video_id: unit for unit in ledger.load(job.out, Stage.SELECT).values() if unit.video_id in observed}
    refined = {unit.video_id: unit for unit in ledger.load(job.out, Stage.REFINE).values()}
    done = {unit.video_id: unit for unit in ledger.load(job.out, Stage.REPORT).values()}
    for video_id in sorted(set(done) - set(selected)):
        ledger.retract(job.out, Stage.REPORT, video_id)
    sheets = _sheets(job.out)
    units = []
    for video_id, selection in selected.items():
        input_hash = ledger.content_hash([selection.fingerprint, _judged(refined.get(video_id))])
        before = done.get(video_id)
        if before is None or (before.config_hash, before.input_hash, before.counts["sheets"]) != (config_hash, input_hash, len(sheets[video_id])):
            uri = parts.read_part(job.out, tables.VIDEOS, video_id, ["uri"])["uri"][0].as_py()
            units.append(ReportUnit(uri, video_id, len(observed[video_id]), input_hash, selection.start_ns, selection.end_ns, tuple(sheets[video_id])))
    work = ReportWork(job.out, options, config_hash)
    log = FailureLog(job.out, Stage.REPORT, config_hash)
    summary = run_stage(job, Stage.REPORT, work, units, log, on_failure=lambda unit: ledger.retract(job.out, Stage.REPORT, unit.video_id))
    summary.skipped = len(selected) - len(units)
    _remove_orphans(job.out)
    started = time.monotonic()
    if _write_page(job, options, {video_id: len(observed[video_id]) for video_id in selected}):
        summary.seconds["page"] = time.monotonic() - started
        summary.wall_seconds += summary.seconds["page"]
        summary.done += bool(selected)  # a page of nobody is nothing done
    return summary


def _judged(unit: DoneUnit | None) -> list[Any]:
    """What tells one refining of a video from another. A judge that is asked further leaves the fingerprint as it is, and other counts."""
    return [unit.fingerprint, unit.counts] if unit is not None else []


def _write_page(job: Job, options: ReportOptions, segments: dict[str, int]) -> bool:
    """Draw the figures and write the page, unless they are there and nothing they show has changed; whether that was needed."""
    folder = storage.join(job.out, FOLDER)
    shown = [unit.fingerprint for stage in (Stage.SELECT, Stage.REPORT) for _, unit in sorted(ledger.load(job.out, stage).items())]
    judged = [_judged(unit) for _, unit in sorted(ledger.load(job.out, Stage.REFINE).items())]
    made_from = ledger.content_hash([shown, judged, options.embedded])
    uri = storage.join(folder, STATE)
    there = {storage.file_name(file) for file in storage.list_files(folder)}
    if {STATE, PAGE} <= there and _is_whole(json.loads(storage.read_bytes(uri)), made_from, there):
        return False
    overview, cards = Overview(), []
    verdicts = verdict_parts.names_by_video(job.out)
    for video_id in sorted(segments):
        cards += _add_video(job.out, overview, video_id, segments[video_id])
        overview.verdicts.add(verdict_parts.read(job.out, verdicts.get(video_id, ())).values())
    cards.sort(key=lambda card: (not card.anchors, not card.pending))  # stable: those without any come last
    figures = draw_overview(overview)
    if JUDGE not in figures:
        storage.remove(storage.join(folder, _figure(JUDGE)))
    for name, png in figures.items():
        storage.write_atomic(storage.join(folder, _figure(name)), png)
    page = html_page(storage.file_name(job.out), overview, figures, _embedded(job.out, cards, options.embedded))
    storage.write_atomic(storage.join(folder, PAGE), page.encode())
    storage.write_atomic(uri, json.dumps({"made_from": made_from, "figures": list(figures)}).encode())
    return True


def _is_whole(state: dict[str, Any], made_from: str, there: set[str]) -> bool:
    """Whether the page was made from this, and all its figures lie there."""
    return state["made_from"] == made_from and set(map(_figure, state["figures"])) <= there


def _add_video(out: str, overview: Overview, video_id: str, segments: int) -> list[Card]:
    shots = parts.read_parts(out, tables.SHOTS, [parts.segment_part(video_id, segment) for segment in range(segments)])
    tracks, characters, anchors, clips = (parts.read_part(out, table, video_id) for table in parts.VIDEO_TABLES[Stage.SELECT])
    overview.add(shots, tracks, characters, anchors, clips)
    name = storage.file_name(parts.read_part(out, tables.VIDEOS, video_id, ["uri"])["uri"][0].as_py())
    has, waits = (_by_character(anchors, status) for status in (Status.ACCEPTED, Status.PENDING))
    people = [(row, str(row["character_id"])) for row in characters.to_pylist()]
    return [Card(row, name, f"{SHEETS}/{character}.png", anchors=has[character], pending=waits[character]) for row, character in people]


def _by_character(anchors: pa.Table, status: Status) -> Counter[str]:
    return Counter(anchors.filter(pc.equal(anchors["status"].cast(pa.string()), status))["character_id"].to_pylist())


def _embedded(out: str, cards: list[Card], number: int) -> Iterator[Card]:
    """The first cards with their sheets, the others as they are."""
    for position, card in enumerate(cards):
        sheet = _sheet(out, card.character["character_id"])
        yield replace(card, sheet=storage.read_bytes(sheet)) if position < number and storage.exists(sheet) else card


def _sheet(out: str, character_id: str) -> str:
    return storage.join(out, FOLDER, SHEETS, f"{character_id}.png")


def _figure(name: str) -> str:
    return f"{name}.png"


def _sheets(out: str) -> dict[str, list[str]]:
    """Every contact sheet that lies there, by video: the ids of characters begin with their video's."""
    found: dict[str, list[str]] = defaultdict(list)
    for uri in storage.list_files(storage.join(out, FOLDER, SHEETS), ".png"):
        found[storage.file_name(uri).rpartition("-")[0]].append(uri)
    return found


def _remove_orphans(out: str) -> None:
    """Remove the sheets of videos that no row vouches for: they are no more, or have failed."""
    done = {unit.video_id for unit in ledger.load(out, Stage.REPORT).values()}
    for video_id, sheets in _sheets(out).items():
        if video_id not in done:
            for sheet in sheets:
                storage.remove(sheet)
