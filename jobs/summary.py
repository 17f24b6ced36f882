"""What an output root holds, in numbers, and how fast it was made: for the end of a run and for run.json.

Everything is added up from the rows of ledger and failures and from the shard index, so that it is the same whichever run did what and no
other table is opened. It costs two listings of the ledger and one of the failures, the reading of one small file for every segment observed,
every video selected from and every failure (parts.READERS at a time), and the index as a whole: that grows with the output root.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs import ledger, parts
from jobs.ledger import DoneUnit
from jobs.progress import clock
from jobs.stage import StageSummary
from pipeline import storage
from pipeline.pack import shards
from schemas.tables import FAILURES
from schemas.vocabulary import Stage


def totals(out: str, selected: Sequence[DoneUnit], refined: Sequence[DoneUnit] = ()) -> dict[str, Any]:
    """Videos, hours, faces, characters, anchors per bin, clips, shards, drops by reason, and failures by kind.

    Args:
        out: the output root.
        selected: the ledger's rows of the stage select.
        refined: those of the stage refine; they hold the counts after judging.
    """
    observed = list(ledger.load(out, Stage.OBSERVE).values())
    judged = {unit.video_id: unit for unit in refined}
    seen, chosen = _counts(observed), _counts([judged.get(unit.video_id, unit) for unit in selected])
    rows = shards.read_shard_index(storage.join(out, shards.FOLDER))
    failures = parts.read_parts(out, FAILURES, columns=["stage", "kind"]).to_pylist()
    return {
        "videos": len({unit.video_id for unit in observed}),
        "hours": round(sum(unit.end_ns - unit.start_ns for unit in observed) / 3.6e12, 4),
        **{name: seen[name] for name in sorted(seen) if name != "segments"},
        **{name: chosen[name] for name in sorted(chosen) if "/" not in name and name != "questions left"},
        "anchors per bin": _below(chosen, "anchors/"),
        **({"pending per bin": waiting} if (waiting := _below(chosen, "pending/")) else {}),
        "dropped": _below(chosen, "dropped/"),
        "shards": len({row["shard"] for row in rows}),
        "samples": len(rows),
        "failures": dict(sorted(Counter(f"{row['stage']}/{row['kind']}" for row in failures).items())),
    }


def selection_hash(selected: Sequence[DoneUnit], refined: Sequence[DoneUnit] = ()) -> str:
    """Changes whenever a video is selected from with other options or other observations, is judged anew, or comes or goes."""
    return ledger.content_hash(sorted([*(unit.fingerprint for unit in selected), *((*unit.fingerprint, unit.counts) for unit in refined)], key=str))


def print_summary(console: Console, summaries: Sequence[StageSummary], held: dict[str, Any], notes: Sequence[str] = ()) -> None:
    """Two tables for people: what this run did, and what the output root holds; and what is to be known about it."""
    table = Table(title="this run", title_justify="left")
    for heading in ("stage", "done", "done before", "failed", "seconds", "× real time", "where the time went"):
        table.add_column(heading, justify="left" if heading in ("stage", "where the time went") else "right")
    for summary in summaries:
        speed = f"{summary.media_seconds / summary.wall_seconds:.1f}" if summary.media_seconds and summary.wall_seconds else ""
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in sorted(summary.seconds.items(), key=lambda item: -item[1]))
        table.add_row(str(summary.stage), str(summary.done), str(summary.skipped), str(summary.failed), f"{summary.wall_seconds:.1f}", speed, steps)
    console.print(table)
    table = Table(title="the output holds", title_justify="left", show_header=False)
    for name, value in held.items():
        table.add_row(name, _words(value) if isinstance(value, dict) else f"{value} ({clock(value * 3600)})" if name == "hours" else str(value))
    console.print(table)
    for note in notes:
        console.print(note, style="yellow", markup=False, highlight=False)


def _counts(units: Sequence[DoneUnit]) -> Counter[str]:
    total: Counter[str] = Counter()
    for unit in units:
        total.update(unit.counts)
    return total


def _below(counts: Counter[str], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in sorted(counts.items()) if name.startswith(prefix) and number}


def _words(counts: dict[str, int]) -> str:
    return "\n".join(f"{name}: {number}" for name, number in counts.items()) or "none"
