"""Requests per second of ``refine`` against a bare asyncio client that sends the same requests to the same server.

    python -m benchmarks.refine_throughput OUT --url http://HOST:8000/v1 [--in-flight 32] [--pairs 3] [--json FILE]

OUT is an output root that ``select`` was done in; copies of it are refined. The first run teaches which requests are sent, warms the server up
and does not count. Then refine and the bare client take turns, so that whatever else the machine does meets both.

The bare client has every picture in memory and keeps as many requests under way as refine may; nothing is decoded, checked or written. Its
request ids are new in every run. Seconds are from the first request to the last reply: the start of a process and its reading of tables are
not in them; decoding, writing and waiting for answers that decide what is asked next are. The server should remember nothing of earlier
requests (vLLM: --no-enable-prefix-caching --mm-processor-cache-gb 0), or whoever comes later finds less to do. The exit status is 1 when the
target is missed.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.bare_client import asked_in, send
from jobs import parts
from pipeline.refine.options import PolicyOptions
from pipeline.refine.verdicts import Verdict
from pipeline.select.ranking import RankingOptions
from schemas.tables import VERDICTS

ROOT = Path(__file__).parents[1]

TARGET = 0.9
"""Least requests per second of refine, as a share of the bare client's."""


@dataclass(frozen=True)
class Setting:
    """What is the same in all runs.

    Attributes:
        out: the output root.
        url: base URL of the server.
        in_flight: requests at the same time.
        questions_per_anchor: see PolicyOptions; with 1, all questions of a bin are open at once.
        engine: see EngineOptions.
    """

    out: Path
    url: str
    in_flight: int = 32
    questions_per_anchor: int = 1
    engine: str = "local"


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        who: refine or bare.
        requests: that were answered.
        seconds: from the first request to the last reply.
        latency: seconds of a request, the median.
        in_flight: requests at the same time, the mean.
        rate: requests per second.
    """

    who: str
    requests: int
    seconds: float
    latency: float
    in_flight: float
    rate: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", self.requests / self.seconds)

    @classmethod
    def of(cls, who: str, spans: Sequence[tuple[float, float]]) -> "Measured":
        """From the begin and the end of every request, in seconds."""
        seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
        latencies = [end - begin for begin, end in spans]
        return cls(who, len(spans), seconds, median(latencies), sum(latencies) / seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refine_throughput", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="output root that select was done in")
    parser.add_argument("--url", required=True, help="base URL of the server, such as http://HOST:8000/v1")
    parser.add_argument("--in-flight", type=int, default=32, help="requests at the same time (default 32)")
    parser.add_argument("--questions-per-anchor", type=int, default=1, help="as of refine; with 1 (the default) the questions of a bin are open at once")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where refine runs, with one worker (default local)")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    setting = Setting(options.out, options.url, options.in_flight, options.questions_per_anchor, options.engine)
    runs = compare(setting, options.pairs)
    Console().print(table(runs))
    if options.json:
        options.json.write_text(json.dumps({"ratio": ratio(runs), "runs": [asdict(run) for run in runs]}, indent=1) + "\n")
    return int(ratio(runs) < TARGET)


def compare(setting: Setting, pairs: int, refined: Path | None = None) -> list[Measured]:
    """Runs of refine and of the bare client, in pairs; each of the two begins every other pair.

    Args:
        setting: of all runs.
        pairs: of runs.
        refined: a copy of the output root that was refined in this setting; None makes one first.
    """
    runs: list[Measured] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if refined is None:
            refined = refine(setting, folder / "first")
        asked = asked_in(refined, verdicts(refined), PolicyOptions(setting.questions_per_anchor), ranking(setting.out))
        for number in range(pairs):
            for who in ("bare", "refine") if number % 2 == 0 else ("refine", "bare"):
                if who == "bare":
                    spans = asyncio.run(send(asked, setting.url, setting.in_flight, f"{name} {number}"))
                else:
                    spans = [span(verdict) for verdict in verdicts(refine(setting, folder / f"{number}"))]
                runs.append(Measured.of(who, spans))
    return runs


def refine(setting: Setting, copy: Path) -> Path:
    """Refine a copy of the output root."""
    shutil.copytree(setting.out, copy, ignore=shutil.ignore_patterns("verdicts", "shards", "report", ".lease.json"))
    options = {
        "out": copy,
        "refine.server.urls": setting.url,
        "refine.server.in-flight": setting.in_flight,
        "refine.policy.questions-per-anchor": setting.questions_per_anchor,
        "engine.engine": setting.engine,
        "engine.workers": 1,
    }
    command = [sys.executable, "-m", "jobs", "refine", "--require-refine", *(f"--{name}={value}" for name, value in options.items())]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return copy


def verdicts(out: Path) -> list[Verdict]:
    return [Verdict.from_row(row) for row in parts.read_parts(str(out), VERDICTS).to_pylist()]


def span(verdict: Verdict) -> tuple[float, float]:
    """When the request that brought a verdict was sent, and when it was answered."""
    end = verdict.answered_at.timestamp()
    return end - (verdict.latency_seconds or 0.0), end


def ranking(out: Path) -> RankingOptions:
    """With which select ranked."""
    return RankingOptions(**json.loads((out / "run.json").read_text())["provenance"]["select"]["config"]["select"]["ranking"])


def ratio(runs: Sequence[Measured]) -> float:
    """Requests per second of refine as a share of the bare client's, each the median of its runs."""
    refined, bare = (median(run.rate for run in runs if run.who == who) for who in ("refine", "bare"))
    return refined / bare


def table(runs: Sequence[Measured]) -> Table:
    found = Table("run", "requests", "seconds", "requests/s", "median latency, s", "mean in flight")
    for run in runs:
        found.add_row(run.who, str(run.requests), *(f"{value:.2f}" for value in (run.seconds, run.rate, run.latency, run.in_flight)))
    found.caption = f"refine / bare: {ratio(runs):.2f} (target: at least {TARGET})"
    return found


if __name__ == "__main__":
    sys.exit(main())
