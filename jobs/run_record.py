"""``run.json``: what was asked for, with which versions and weights, when, and what came of it; and a line for each earlier run.

``config`` is that of the last run, which may have been of one stage only. ``provenance`` has for every stage the options, versions and
models of the last run in which it did something, and ``selection``, the state of the ledger that shards and report were brought in line
with: they can be told from those of an earlier selection.
"""

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from jobs.engine import SetupError
from jobs.failure_log import versions
from jobs.ledger import content_hash
from jobs.stage import StageSummary
from pipeline import storage
from pipeline.select.ranking import RankingOptions
from schemas.vocabulary import Stage

FILE = "run.json"
REMEMBERED = 50
"""Earlier runs that are kept."""

BRIEF = ("command", "status", "config_hash", "started_at", "finished_at")
"""What is kept of an earlier run, beside its number of units per stage."""


def redact(text: str) -> str:
    """A text without passwords and signatures of URLs."""
    return re.sub(r"(://[^\s?\"']*)\?[^\s\"']*", r"\1?…", re.sub(r"(://)[^/\s]*@", r"\1…@", text))


STAGE_OPTIONS: dict[Stage, tuple[str, ...]] = {
    Stage.OBSERVE: ("segment_minutes", "observe", "perception"),
    Stage.SELECT: ("select",),
    Stage.REFINE: ("refine",),
    Stage.PACK: ("pack",),
    Stage.REPORT: ("report",),
    Stage.ENCODE: ("shards", "checkpoint", "area", "keep_pixels", "dtype", "device"),
}
"""Which options of a command are a stage's."""

PRODUCTS = {Stage.PACK: "shards", Stage.REPORT: "report"}
"""What the stages make that come after selecting."""


class RunRecord:
    """The record of one run. It is written when the run and each of its stages starts, and again when it ends."""

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
            "provenance": earlier.get("provenance", {}),
            "seed": config.get("pack", {}).get("seed"),
            "started_at": _now(),
            "finished_at": None,
            "stages": {},
            "totals": {},
            "history": history[-REMEMBERED:],
        }
        self._before: dict[str, dict[str, Any]] = {}
        self._write()

    def begin(self, stage: Stage) -> list[str]:
        """Write that a stage starts: what it leaves from now on is made with the present options, also if it is killed.

        Returns:
            Its options that differ from those of its last run, as ``name: before → now``; none at its first.
        """
        provenance = self.content["provenance"]
        before = provenance.get(stage, {})
        config = {name: self.content["config"][name] for name in STAGE_OPTIONS[stage] if name in self.content["config"]}
        self._before[stage] = before
        provenance[str(stage)] = {
            "command": self.content["command"],
            "started_at": _now(),
            "config": config,
            "config_hash": content_hash(config),
            "versions": self.content["versions"],
            "models": before.get("models", {}),
            "selection": before.get("selection"),
        }
        self._write()
        return _differences(before["config"], config) if before else []

    def ranking(self) -> RankingOptions:
        """How many anchors of each bin select was to choose, and how far apart: those who judge them fill the same bins.

        Raises:
            SetupError: no run of select is recorded.
        """
        try:
            return RankingOptions(**self.content["provenance"][Stage.SELECT]["config"]["select"]["ranking"])
        except (KeyError, TypeError) as error:
            raise SetupError(f"{self._uri} does not say what select was done with: run select first") from error

    def finish(self, status: str, summaries: Sequence[StageSummary], totals: dict[str, Any], selection: str | None = None) -> None:
        """Write how it ended.

        Args:
            status: ``finished``, ``stopped`` (by a signal) or ``failed``.
            summaries: what each stage did in this run.
            totals: what the output root holds now.
            selection: hash of what is selected now, when it is known.
        """
        for summary in summaries:
            self.content["models"] |= summary.models
            self._end(summary, selection)
        stages = {
            str(summary.stage): {name: value for name, value in vars(summary).items() if name not in ("stage", "models", "config_hash")}
            for summary in summaries
        }
        self.content |= {"status": status, "finished_at": _now(), "stages": stages, "totals": totals}
        self._write()

    def behind(self, selection: str) -> list[Stage]:
        """The stages whose products were brought in line with another selection than this one."""
        made = {stage: self.content["provenance"].get(stage, {}).get("selection") for stage in PRODUCTS}
        return [stage for stage, of in made.items() if of not in (None, selection)]

    def _end(self, summary: StageSummary, selection: str | None) -> None:
        """A stage that had nothing to do leaves what an earlier run has made, with that one's options."""
        if summary.stage not in STAGE_OPTIONS or summary.stage not in self.content["provenance"]:
            return
        provenance = self.content["provenance"]
        if not summary.done and self._before.get(summary.stage):
            provenance[str(summary.stage)] = self._before[summary.stage]
        entry = provenance[str(summary.stage)]
        entry["models"] = entry["models"] | summary.models
        if summary.done and summary.config_hash:
            entry["config_hash"] = summary.config_hash
        if selection is not None:
            entry["selection"] = selection

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


def _differences(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two configurations, by the dotted names of the options."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*now, *(key for key in before if key not in now)]
        return [line for key in keys for line in _differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)]
    return [f"{name}: {before} → {now}"] if before != now else []


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
