"""Running the command line, and what of an output root must be the same however it was made."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jobs import parts
from schemas.tables import FAILURES, TABLES, UNITS, VERDICTS

ROOT = Path(__file__).parents[2]

WALL_CLOCK = {
    UNITS.name: {"seconds", "host", "finished_at"},
    FAILURES.name: {"attempt", "failed_at", "versions"},
    VERDICTS.name: {"attempts", "latency_seconds", "answered_at"},
}
"""Columns that say when, where and how often, not what."""

OBSERVE = ["--observe.samples-per-second", "1", "--segment-minutes", "0.1"]
"""Options for tests: a picture per second, segments of six seconds."""

NO_JUDGE = ["--refine.server.urls", "http://127.0.0.1:9/v1", "--pack.include-pending"]
"""Nobody answers at that port: anchors stay pending, and are packed as they are."""

SMALL = [*OBSERVE, *NO_JUDGE, "--pack.area", "16384", "--pack.preset", "ultrafast"]
"""And small clips."""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "jobs", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Without the address of a cluster that happens to run."""
    return {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}


def run(*arguments: object, code: int = 0) -> str:
    """Run ``python -m jobs`` and give what it said on both streams."""
    ended = subprocess.run(command(*arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240)
    assert ended.returncode == code, f"exit code {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


def tables(out: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table, sorted, without what depends on the wall clock; and the shard index."""
    found = {}
    for name, table in TABLES.items():
        if name == "shards":
            index = out / "shards" / "index.parquet"
            rows = pq.read_table(index).to_pylist() if index.exists() else []
        else:
            rows = parts.read_parts(str(out), table).to_pylist(maps_as_pydicts="strict")
        kept = [{column: value for column, value in row.items() if column not in WALL_CLOCK.get(name, set())} for row in rows]
        found[name] = sorted(kept, key=lambda row: json.dumps(row, default=str))
    return found


def names(out: Path) -> list[str]:
    """Every file below an output root."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def shard_hashes(out: Path) -> dict[str, str]:
    """The hash of every shard."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((out / "shards").glob("*.tar"))}


def states(out: Path) -> dict[str, tuple[int, bytes]]:
    """Modification time and content of every file."""
    return {name: ((out / name).stat().st_mtime_ns, (out / name).read_bytes()) for name in names(out)}
