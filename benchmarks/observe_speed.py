"""What observing costs beyond its parts, and whether its memory stays flat.

    python -m benchmarks.observe_speed VIDEO… [--out speed.json] [--repeat 3]
    python -m benchmarks.observe_speed VIDEO --memory [--minutes 1 30] [--out memory.json]

Speed: in one process on one core, three times over the same video: decoding alone (every frame in small, the sampled ones in full, as
observing needs them), the models alone (the same calls on the same pictures in the same order), and observing end to end. The sampled
pictures are kept in memory for the models, so use videos of a minute or less. The lowest of the repeated measurements counts.

Memory: the video is repeated, without coding it anew, to each of the lengths, and observed in a fresh process, segment by segment as the
jobs do; the peak of the resident memory is what counts.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.observe import ObserveOptions, observe_segment, sampled_times
from pipeline.perception.models import load_perception
from pipeline.perception.protocols import ExpressionEstimate, Face, HeadPose, Image, Perception
from pipeline.shots import small_size
from pipeline.video.decoders import open_decoder
from pipeline.video.index import VideoIndex, read_index
from pipeline.video.segments import Segment, plan_segments

RATIO_TARGET = 1.15
MEMORY_TARGET = 0.10
SEGMENT_SECONDS = 600.0
OPTIONS = ObserveOptions()


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds for one video; ``ratio`` is end to end over decoding and models together."""

    video: str
    video_seconds: float
    decode: float
    models: float
    end_to_end: float
    steps: dict[str, float]

    @property
    def ratio(self) -> float:
        return self.end_to_end / (self.decode + self.models)


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak resident memory of a process that observed ``minutes`` of video."""

    minutes: float
    peak_mib: float
    seconds: float
    observations: int


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.observe_speed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    parser.add_argument("--repeat", type=int, default=3, help="measurements of each, of which the lowest counts")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed, on the first video")
    parser.add_argument("--minutes", nargs="+", type=float, default=[1.0, 30.0], help="lengths to measure memory at")
    parser.add_argument("--observe-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.observe_only:
        print(json.dumps(_observe_all(options.videos[0])))
        return 0
    found: list[Any] = _memory(options.videos[0], options.minutes) if options.memory else [_speed(video, options.repeat) for video in options.videos]
    missed = _print_memory(found) if options.memory else _print_speed(found)
    if options.out:
        options.out.write_text(json.dumps([asdict(row) | ({} if options.memory else {"ratio": row.ratio}) for row in found], indent=1) + "\n")
    return int(missed)


def _speed(path: Path, repeat: int) -> Speed:
    index = read_index(str(path))
    segment = Segment(0, index.start_ns, index.end_ns)
    with _one_core(), load_perception() as perception:
        calls = Recorder()
        observed = observe_segment(str(path), index, segment, calls.around(perception), OPTIONS)
        rounds = [
            (
                _timed(lambda: _decode(path, index)),
                _timed(calls.replay),
                _timed(lambda: observe_segment(str(path), index, segment, perception, OPTIONS)),
            )
            for _ in range(repeat)
        ]
    decode, models, end_to_end = np.min(np.array(rounds), axis=0).tolist()
    return Speed(path.name, (index.end_ns - index.start_ns) / 1e9, decode, models, end_to_end, dict(observed.seconds))


@contextmanager
def _one_core() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _decode(path: Path, index: VideoIndex) -> None:
    """What observing asks of the decoder, and nothing else."""
    wanted = set(sampled_times(index, OPTIONS.samples_per_second).tolist())
    small = small_size(index.width, index.height)
    with open_decoder(str(path), OPTIONS.decoder, OPTIONS.decoder_threads, index) as decoder:
        for frame in decoder.frames():
            frame.rgb(*small)
            if frame.pts_ns in wanted:
                frame.rgb()


class Recorder:
    """Notes every call of a model with its pictures, to make the same calls again."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []

    def replay(self) -> None:
        """All calls once more, in their order."""
        for call in self._calls:
            call()

    def around(self, perception: Perception) -> Perception:
        """The same models, and every call of one is noted."""
        return Perception(*(_Noted(getattr(perception, role), self._calls) for role in Perception.__slots__))  # type: ignore[arg-type]


class _Noted:
    """Passes calls on to a model and notes them."""

    def __init__(self, model: Any, calls: list[Callable[[], object]]) -> None:
        self._model, self._calls = model, calls

    def detect(self, image: Image) -> list[Face]:
        faces: list[Face] = self._note(self._model.detect, image)
        return faces

    def estimate(self, *inputs: Any) -> Any:
        return self._note(self._model.estimate, *inputs)

    def embed(self, image: Image, face: Face) -> Any:
        return self._note(self._model.embed, image, face)

    def classify(self, image: Image, face: Face, pose: HeadPose | None) -> ExpressionEstimate:
        estimate: ExpressionEstimate = self._note(self._model.classify, image, face, pose)
        return estimate

    def _note(self, call: Callable[..., Any], *inputs: Any) -> Any:
        self._calls.append(lambda: call(*inputs))
        return call(*inputs)


def _memory(path: Path, minutes: Sequence[float]) -> list[Memory]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for length in minutes:
            repeated = Path(folder) / f"{length:g}-minutes{path.suffix}"
            _repeat(path, repeated, length * 60)
            start = time.perf_counter()
            command = [sys.executable, "-m", "benchmarks.observe_speed", str(repeated), "--observe-only"]
            done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
            found.append(Memory(length, done["peak_mib"], time.perf_counter() - start, done["observations"]))
            repeated.unlink()
    return found


def _observe_all(path: Path) -> dict[str, float]:
    index = read_index(str(path))
    with load_perception() as perception:
        segments = plan_segments(index, SEGMENT_SECONDS)
        observations = sum(observe_segment(str(path), index, segment, perception, OPTIONS).counts["observations"] for segment in segments)
    return {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "observations": observations}


def _repeat(source: Path, target: Path, seconds: float) -> None:
    """The packets of a video's picture again and again until it lasts so long."""
    with av.open(str(target), "w") as output:
        with av.open(str(source)) as read:
            stream = output.add_stream_from_template(read.streams.video[0])
            time_base = stream.time_base = read.streams.video[0].time_base or Fraction(1, 1000)
        offset = 0
        while offset * time_base < seconds:
            with av.open(str(source)) as read:
                video, end = read.streams.video[0], offset
                for packet in read.demux(video):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    end = max(end, packet.pts + (packet.duration or 1))
                    output.mux(packet)
                offset = end


def _print_speed(found: Sequence[Speed]) -> bool:
    table = Table("video", "seconds of video", "decode", "models", "end to end", "ratio", f"target <= {RATIO_TARGET}", "times real time")
    for row in found:
        figures = (row.video_seconds, row.decode, row.models, row.end_to_end)
        met = "met" if row.ratio <= RATIO_TARGET else "MISSED"
        table.add_row(row.video, *(f"{figure:.2f}" for figure in figures), f"{row.ratio:.3f}", met, f"{row.video_seconds / row.end_to_end:.2f}")
    Console(width=140).print(table)
    return any(row.ratio > RATIO_TARGET for row in found)


def _print_memory(found: Sequence[Memory]) -> bool:
    table = Table("minutes of video", "peak MiB", "against the first", f"target <= +{MEMORY_TARGET:.0%}", "seconds", "observations")
    growth = [row.peak_mib / found[0].peak_mib - 1 for row in found]
    for row, more in zip(found, growth, strict=True):
        met = "met" if more <= MEMORY_TARGET else "MISSED"
        table.add_row(f"{row.minutes:g}", f"{row.peak_mib:.0f}", f"{more:+.1%}", met, f"{row.seconds:.0f}", str(row.observations))
    Console(width=120).print(table)
    return any(more > MEMORY_TARGET for more in growth)


if __name__ == "__main__":
    sys.exit(main())
