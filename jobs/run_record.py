"""``run.json``: what was asked for, with which versions and weights, when, and what came of it; and a line for each earlier run."""

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from jobs.failure_log import versions
from jobs.ledger import content_hash
from jobs.stage import StageSummary
from pipeline import storage

FILE = "run.json"
REMEMBERED = 50
"""Earlier runs that are kept."""

BRIEF = ("command", "status", "config_hash", "started_at", "finished_at")
"""What is kept of an earlier run, beside its number of units per stage."""


def redact(text: str) -> str:
    """A text without passwords and signatures of URLs."""
    return re.sub(r"(://[^\s?\"']*)\?[^\s\"']*", r"\1?…", re.sub(r"(://)[^/\s@]+@", r"\1…@", text))


class RunRecord:
    """The record of one run. It is written when the run starts and again when it ends."""

    def __init__(self, out: str, command: Any, arguments: Sequence[str]) -> None:
        self._uri = storage.join(out, FILE)
        config = json.loads(redact(json.dumps(asdict(command), default=str)))
        earlier = self._read()
        history = [*earlier.pop("history", []), _brief(earlier)] if earlier else []
        self.content: dict[str, Any] = {
            "command": type(command).__name__.lower(),
            "status": "running",
            "arguments": [redact(argument) for argument in arguments],
            "config": config,
            "config_hash": content_hash(config),
            "versions": {"python": platform.python_version(), **versions()},
            "models": earlier.get("models", {}),
            "seed": config.get("pack", {}).get("seed"),
            "started_at": _now(),
            "finished_at": None,
            "stages": {},
            "totals": {},
            "history": history[-REMEMBERED:],
        }
        self._write()

    def finish(self, status: str, summaries: Sequence[StageSummary], totals: dict[str, Any]) -> None:
        """Write how it ended.

        Args:
            status: ``finished``, ``stopped`` (by a signal) or ``failed``.
            summaries: what each stage did in this run.
            totals: what the output root holds now.
        """
        for summary in summaries:
            self.content["models"] |= summary.models
        stages = {str(summary.stage): {name: value for name, value in vars(summary).items() if name not in ("stage", "models")} for summary in summaries}
        self.content |= {"status": status, "finished_at": _now(), "stages": stages, "totals": totals}
        self._write()

    def _read(self) -> dict[str, Any]:
        if not storage.exists(self._uri):
            return {}
        content: dict[str, Any] = json.loads(storage.read_bytes(self._uri))
        return content

    def _write(self) -> None:
        storage.write_atomic(self._uri, (json.dumps(self.content, indent=2, ensure_ascii=False) + "\n").encode())


def _brief(content: dict[str, Any]) -> dict[str, Any]:
    units = {stage: {name: counts.get(name) for name in ("done", "skipped", "failed")} for stage, counts in content.get("stages", {}).items()}
    return {name: content.get(name) for name in BRIEF} | {"stages": units}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
