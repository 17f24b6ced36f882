"""How well two workers share the work, and what the engine costs per video.

    python -m benchmarks.engine [--workers 2] [--asset cry_to_laugh] [--videos 8] [--out engine.json]

Throughput: the observe stage on copies of one sample video (with another title each, so that they are different files of equal work)
with one Ray worker and with several; the cluster is up before, the loading of the models counts. On an idle machine.
Overhead: plan and observe of small videos with the models stubbed out: reading indexes, passing units, writing parts and ledger.
The exit status is 1 when a target is missed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from jobs.engine import EngineOptions
from jobs.failure_log import FailureLog
from jobs.inputs import find_inputs
from jobs.observe import ObserveWork, observe
from jobs.plan import SegmentUnit, plan_observe
from jobs.progress import Progress
from jobs.stage import Job, StageSummary, run_stage
from pipeline.assets import fetch
from pipeline.observe import ObserveOptions, SegmentObservations
from pipeline.perception.models import PerceptionOptions
from pipeline.video.index import VideoIndex
from schemas.tables import OBSERVATIONS, SHOTS
from schemas.vocabulary import Stage

SPEEDUP = 1.7
"""Least throughput of two workers over one."""

OVERHEAD = 0.1
"""Most seconds of the engine per video."""

SEGMENT_MINUTES = 10.0


@dataclass
class Blind(ObserveWork):
    """Observing without looking: all that the engine does around the models."""

    def setup(self) -> None:
        """Load nothing."""

    def look(self, unit: SegmentUnit, index: VideoIndex) -> SegmentObservations:  # noqa: ARG002 - blind
        """No shots, no people."""
        return SegmentObservations(SHOTS.empty(), OBSERVATIONS.empty(), {}, {})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="workers to compare with one (default 2)")
    parser.add_argument("--asset", default="cry_to_laugh", help="sample video to copy (default cry_to_laugh)")
    parser.add_argument("--videos", type=int, default=8, help="copies for the throughput (default 8)")
    parser.add_argument("--small-videos", type=int, default=50, help="videos for the overhead (default 50)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    options = parser.parse_args(arguments)
    engine = EngineOptions(engine="ray", workers=options.workers)
    with tempfile.TemporaryDirectory() as folder, _cluster(engine):
        figures = throughput(Path(folder), fetch(options.asset), options.videos, engine) | overhead(Path(folder), options.small_videos, engine)
    figures["cpus"] = os.cpu_count() or 1
    Console().print(table(figures))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if figures["speedup"] >= SPEEDUP * options.workers / 2 and figures["overhead_seconds"] < OVERHEAD else 1


def throughput(folder: Path, sample: Path, videos: int, engine: EngineOptions) -> dict[str, Any]:
    """Seconds of the observe stage with one worker and with several, and their ratio."""
    for number in range(videos):
        retitled(sample, folder / "equal" / f"{number:03d}{sample.suffix}", f"copy {number}")
    seconds = {}
    for workers in (1, engine.workers):
        summary = _observe(folder / "equal", folder / f"out-{workers}", replace(engine, workers=workers))
        assert summary.done == videos, f"{summary.failed} of {videos} videos failed"
        seconds[workers] = summary.wall_seconds
    speeds = {f"seconds_with_{workers}": value for workers, value in seconds.items()}
    return {"videos": videos, "workers": engine.workers, **speeds, "speedup": seconds[1] / seconds[engine.workers]}


def overhead(folder: Path, videos: int, engine: EngineOptions) -> dict[str, Any]:
    """Seconds per video of plan and observe when nobody looks, with one worker."""
    for number in range(videos):
        _write_small(folder / "small" / f"{number:03d}.mp4", number)
    job = Job(str(folder / "out-small"), replace(engine, workers=1), Progress(Console(quiet=True)))
    started = time.monotonic()
    inputs = find_inputs([str(folder / "small")])
    units, _, _ = plan_observe(job, inputs, "blind", SEGMENT_MINUTES * 60)
    work = Blind(job.out, ObserveOptions(), PerceptionOptions(), "blind")
    summary = run_stage(job, Stage.OBSERVE, work, units, FailureLog(job.out, Stage.OBSERVE))
    seconds = time.monotonic() - started
    assert summary.done == videos, f"{summary.failed} of {videos} videos failed"
    return {"small_videos": videos, "overhead_seconds": seconds / videos}


def table(figures: dict[str, Any]) -> Table:
    """The figures for a terminal."""
    drawn = Table(title=f"engine, {figures['cpus']} CPUs")
    for column in ("measure", "value", "target"):
        drawn.add_column(column, justify="left" if column == "measure" else "right")
    workers = figures["workers"]
    for number in sorted({1, workers}):
        drawn.add_row(f"observe {figures['videos']} videos, {number} worker(s)", f"{figures[f'seconds_with_{number}']:.1f} s", "")
    drawn.add_row(f"throughput of {workers} workers over 1", f"{figures['speedup']:.2f}", f"≥ {SPEEDUP * workers / 2:.2f}")
    drawn.add_row(f"engine per video, over {figures['small_videos']} videos", f"{figures['overhead_seconds'] * 1000:.0f} ms", f"< {OVERHEAD * 1000:.0f} ms")
    return drawn


def retitled(source: Path, target: Path, title: str) -> None:
    """A copy of a video, packet by packet, with another title: the same work, another content."""
    target.parent.mkdir(exist_ok=True)
    with av.open(str(source)) as original, av.open(str(target), "w") as copy:
        copy.metadata["title"] = title
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in original.streams if stream.type in ("video", "audio")}
        for packet in original.demux():
            if packet.dts is not None and packet.stream_index in streams:
                packet.stream = streams[packet.stream_index]
                copy.mux(packet)


def _observe(videos: Path, out: Path, engine: EngineOptions) -> StageSummary:
    job = Job(str(out), engine, Progress(Console(quiet=True)))
    return observe(job, find_inputs([str(videos)]), ObserveOptions(), PerceptionOptions(), SEGMENT_MINUTES)[-1]


def _write_small(path: Path, number: int) -> None:
    """A quarter of a second of gray."""
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = str(number)
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(6):
            picture = np.full((64, 64, 3), number % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@contextmanager
def _cluster(engine: EngineOptions) -> Iterator[None]:
    """A cluster with a worker started once, so that the first figure does not pay for the start."""
    from jobs.ray_engine import connect, disconnect

    connect(engine)
    try:
        yield
    finally:
        disconnect()


if __name__ == "__main__":
    sys.exit(main())
