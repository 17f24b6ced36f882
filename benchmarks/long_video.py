"""Memory and time of ``python -m model generate`` over a video of ten minutes.

    python -m benchmarks.long_video [--minutes 10] [--folder FOLDER] [--plot FILE.png] [--json FILE]

The network is the untrained preset ``tiny``, the picture 32 x 32, one step per chunk: what is measured is everything around the network that could
grow with the length of a video. Anchors are drawn, the sound has a click at every whole second. Figures are of the process's own chunk log: memory
held after each chunk (the resident set), seconds of the CPU from chunk to chunk. The first minute counts from the tenth chunk on: libraries fill
their caches before.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]

FRAME_RATE, SIDE, STEPS = 16, 32, 1
WARM_UP = 10
"""Chunks."""

SAMPLE_RATE, CLICK_SECONDS, CLICK_HERTZ = 16_000, 0.02, 1000.0


@dataclass(frozen=True)
class Growth:
    """How a run changed from its first minute to its last.

    Attributes:
        minutes: of video.
        first_mib, last_mib: memory held in the first and last minute, medians.
        memory_ratio: last to first.
        first_seconds, last_seconds: of the CPU per chunk, medians of the first and the last quarter.
        time_ratio: last to first.
        wall_seconds: of the whole command, start and joining included.
    """

    minutes: float
    first_mib: float
    last_mib: float
    memory_ratio: float
    first_seconds: float
    last_seconds: float
    time_ratio: float
    wall_seconds: float


def make_inputs(folder: Path, seconds: float) -> None:
    """A checkpoint, anchors and a sound in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "checkpoint").exists():
        subprocess.run([sys.executable, "-m", "model", "init", "--out", str(folder / "checkpoint")], cwd=ROOT, check=True)
    (folder / "anchors").mkdir(exist_ok=True)
    for name, colour in {"global": (200, 60, 60), "viewpoint-left": (60, 200, 60), "expression-happy": (60, 60, 200)}.items():
        Image.new("RGB", (64, 64), colour).save(folder / "anchors" / f"{name}.png")
    soundfile.write(folder / "sound.wav", clicks(seconds), SAMPLE_RATE)


def clicks(seconds: float) -> np.ndarray:
    """A short tone at the start of every second."""
    time_ = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.5 * np.sin(2 * np.pi * CLICK_HERTZ * time_) * (time_ % 1 < CLICK_SECONDS)).astype(np.float32)


def generate_command(folder: Path, out: Path, seconds: float) -> list[str]:
    """What makes the video."""
    inputs = ["--checkpoint", "checkpoint", "--anchors", "anchors", "--audio", "sound.wav"]
    paths = [str(folder / word) if not word.startswith("--") else word for word in inputs]
    size = ["--size.seconds", f"{seconds:g}", "--size.width", f"{SIDE}", "--size.height", f"{SIDE}"]
    return [
        sys.executable,
        "-m",
        "model",
        "generate",
        *paths,
        "--prompt",
        "a drawn face",
        *size,
        "--sampling.steps",
        f"{STEPS}",
        "--threads",
        "1",
        "--out",
        str(out),
    ]


def chunk_log(out: Path) -> list[dict[str, Any]]:
    """The lines of a run's chunk log."""
    return [json.loads(line) for line in (out.with_name(out.name + ".state") / "chunks.jsonl").read_text().splitlines()]


def growth(log: Sequence[dict[str, Any]], wall_seconds: float) -> Growth:
    """From a chunk log to figures."""
    end = log[-1]["frames_written"] / FRAME_RATE
    first = [line["resident_mib"] for line in log[WARM_UP:] if line["at_seconds"] < max(60, log[WARM_UP]["at_seconds"] + 30)]
    last = [line["resident_mib"] for line in log if line["at_seconds"] > end - 60]
    took = [line["took_cpu_seconds"] for line in log[WARM_UP:-1]]
    quarter = max(1, len(took) // 4)
    early, late = median(took[:quarter]), median(took[-quarter:])
    return Growth(end / 60, median(first), median(last), median(last) / median(first), early, late, late / early, wall_seconds)


def plot(log: Sequence[dict[str, Any]], path: Path) -> None:
    """Memory and time over the video's minutes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    memory, seconds = figure.subplots(2, 1, sharex=True)
    minutes = [line["at_seconds"] / 60 for line in log]
    memory.plot(minutes, [line["resident_mib"] for line in log], color="tab:blue")
    memory.set(ylabel="memory held, MiB", ylim=(0, 1.2 * max(line["resident_mib"] for line in log)))
    seconds.plot(minutes, [line["took_cpu_seconds"] for line in log], ".", color="tab:orange")
    seconds.set(xlabel="minute of the video", ylabel="CPU seconds per chunk", ylim=(0, None))
    for axes in (memory, seconds):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_video", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of video (default 10)")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder when left out")
    parser.add_argument("--plot", type=Path, help="picture to be drawn, PNG")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        make_inputs(folder, options.minutes * 60)
        out, started = folder / "video.mp4", time.perf_counter()
        subprocess.run([*generate_command(folder, out, options.minutes * 60), "--restart"], cwd=ROOT, check=True)
        log = chunk_log(out)
        found = growth(log, time.perf_counter() - started)
        if options.plot:
            plot(log, options.plot)
    table = Table("", "first", "last", "ratio", title=f"{found.minutes:g} minutes in {found.wall_seconds:.0f} s")
    table.add_row("memory held, MiB (minute)", f"{found.first_mib:.0f}", f"{found.last_mib:.0f}", f"{found.memory_ratio:.3f}")
    table.add_row("CPU seconds per chunk (quarter)", f"{found.first_seconds:.2f}", f"{found.last_seconds:.2f}", f"{found.time_ratio:.3f}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(asdict(found), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
