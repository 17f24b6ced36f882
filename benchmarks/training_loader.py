"""Samples per second of the trainer's loader, against the bare rate of reading and decoding the same bytes; and whether its memory grows.

    python -m benchmarks.training_loader [--shards FOLDER] [--samples 48] [--workers 2] [--rounds 5] [--out loader.json]

Without --shards, samples are drawn: 49 frames of 416 x 240 that move, eight anchors, sound. Bare: as many processes as the loader has workers, each of
which reads every n-th sample by its byte range, decodes its video to RGB at its own size, its anchors and its sound, and lets them go. The loader
decodes the same: all frames, all anchors, at the clips' own size; beyond that it checks the bytes, draws, and hands the samples over to the trainer's
process. They take turns, an epoch each, and the median of the rounds is told; how long processes take to start does not count. On an idle machine.

Memory: of the trainer's process and its workers together (proportional set size), at the end of each epoch of one loader that reads on and on.
The exit status is 1 when a target is missed.
"""

import argparse
import io
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from model.flow import SigmaDistribution
from model.positions import AnchorPositions
from pipeline.pack.audio import encode_flac
from pipeline.pack.encode import ClipEncoder
from pipeline.pack.options import PackOptions
from pipeline.pack.shards import fill, stage, tidy, write_shard, write_shard_index
from schemas.sample import AUDIO_RATE, Sample, SampleAnchor, SampleMetadata, anchor_file
from schemas.vocabulary import AnchorKind, Expression
from training.data.batches import BatchPlan
from training.data.batches import micro_batches as share
from training.data.dataset import ShardDataset
from training.data.geometry import SampleGeometry
from training.data.index import ShardIndex, read_index
from training.data.loader import micro_batches
from training.data.places import Place
from training.data.reader import ShardReader
from training.data.sample import MicroBatch
from training.data.shard_cache import ShardCache
from training.options import AugmentOptions, DataOptions, LossOptions, SupersetOptions

RATIO = 0.9
"""Least rate of the loader over the bare one."""
GROWTH = 0.05
"""Most growth of memory from the second epoch to the last."""
FRAMES, WIDTH, HEIGHT, RATE, ANCHORS = 49, 416, 240, 16, 8
SHARDS, PREFETCH = 4, 2
EVERYTHING = SupersetOptions(count_weights=(*([0.0] * 16), 1.0), outside_share=0.5, most_per_class=16)
NOTHING_DROPPED = LossOptions(drop_text=0, drop_audio=0, drop_anchors=0)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_loader", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shards", type=Path, help="folder of packed shards; drawn when not given")
    parser.add_argument("--samples", type=int, default=48, help="samples to draw (default 48)")
    parser.add_argument("--workers", type=int, default=2, help="processes that read (default 2)")
    parser.add_argument("--micro", type=int, default=2, help="samples of a micro-batch (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that each takes, an epoch long (default 5)")
    parser.add_argument("--epochs", type=int, default=10, help="epochs to watch the memory (default 10)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        shards = options.shards or draw_shards(Path(folder), options.samples)
        dataset = everything(read_index([str(shards)]), Path(folder) / "cache")
        figures = speed(dataset, options.workers, options.micro, options.rounds) | memory(dataset, options.workers, options.micro, options.epochs)
    Console().print(table(figures))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if figures["ratio"] >= RATIO and figures["growth"] <= GROWTH else 1


def speed(dataset: ShardDataset, workers: int, micro: int, rounds: int) -> dict[str, Any]:
    """Samples per second of the loader and bare, an epoch in turns."""
    samples, batches_per_epoch = len(dataset.index), len(list(_epoch(dataset, micro)))
    rates: dict[str, list[float]] = {"bare": [], "loader": []}
    bare(dataset.reader, workers)  # so that the first round finds the files in memory, as the others do
    batches = micro_batches(dataset, _endless(dataset, micro), workers, PREFETCH)
    for _ in range(rounds):
        rates["bare"].append(samples / bare(dataset.reader, workers))
        _take(batches, max(1, workers) * PREFETCH)  # what was read ahead during the other's turn
        rates["loader"].append(samples / _take(batches, batches_per_epoch))
    batches.close()  # type: ignore[attr-defined]  # a generator
    ratio = statistics.median(loaded / read for read, loaded in zip(rates["bare"], rates["loader"], strict=True))
    each = {f"{name}_samples_per_second": statistics.median(values) for name, values in rates.items()}
    return {"cpus": os.cpu_count() or 1, "samples": samples, "workers": workers, "rounds": rounds, **each, "ratio": ratio}


def memory(dataset: ShardDataset, workers: int, micro: int, epochs: int) -> dict[str, Any]:
    """Megabytes of all processes at the end of each epoch, and their growth from the second to the last, as a share."""
    batches_per_epoch = len(list(_epoch(dataset, micro)))
    batches = micro_batches(dataset, _endless(dataset, micro), workers, PREFETCH)
    megabytes = []
    for _ in range(epochs):
        _take(batches, batches_per_epoch)
        megabytes.append(sum(proportional_set_size(pid) for pid in [os.getpid(), *(child.pid or 0 for child in multiprocessing.active_children())]))
    batches.close()  # type: ignore[attr-defined]  # a generator
    settled = megabytes[min(1, len(megabytes) - 1)]
    return {"epochs": epochs, "megabytes": megabytes, "growth": megabytes[-1] / settled - 1}


def bare(reader: ShardReader, processes: int) -> float:
    """Read and decode every sample once, in so many processes; gives the seconds it took, from when all are up."""
    context = multiprocessing.get_context("fork")
    up = context.Barrier(processes + 1)
    running = [context.Process(target=_decode_rows, args=(reader.index, rank, processes, up)) for rank in range(processes)]
    for process in running:
        process.start()
    up.wait()
    started = time.perf_counter()
    for process in running:
        process.join()
        assert process.exitcode == 0
    return time.perf_counter() - started


def _decode_rows(index: ShardIndex, rank: int, processes: int, up: Barrier) -> None:
    up.wait()
    files = [Path(url).open("rb") for url in index.shard_urls]  # noqa: SIM115  (the process ends)
    for row in range(rank, len(index), processes):
        for member in index.members(row):
            content = os.pread(files[index.shard[row]].fileno(), member.size, member.offset)
            if (decode := _DECODERS.get(member.name.rpartition(".")[2])) is not None:
                decode(content)


def _decode_video(content: bytes) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        stream.thread_count = 1  # as in the loader; more threads than processes would only take from others' share of a busy machine
        frames = np.empty((stream.frames, stream.height, stream.width, 3), np.uint8)
        for number, frame in enumerate(container.decode(stream)):
            frames[number] = frame.to_ndarray(format="rgb24", threads=1)
    return frames


_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "mp4": _decode_video,
    "jpg": lambda content: np.asarray(Image.open(io.BytesIO(content)).convert("RGB")),
    "flac": lambda content: soundfile.read(io.BytesIO(content), dtype="float32"),
}


def everything(index: ShardIndex, cache: Path) -> ShardDataset:
    """A dataset that decodes all of every sample, at its own size."""
    area = int((index.width * index.height).max())
    geometry = SampleGeometry(area, 1, 4, 16, 8, None, hears=True, positions=AnchorPositions(repeat_step=0.05, most_repeats=16))
    reader = ShardReader(index, ShardCache(cache, 1 << 40))
    return ShardDataset(index, reader, geometry, DataOptions(), EVERYTHING, AugmentOptions(), NOTHING_DROPPED, 0, SigmaDistribution(), use_latents=False)


def _epoch(dataset: ShardDataset, micro: int) -> Iterator[list[Place]]:
    steps = _plan(dataset, micro)
    return (batch for step in islice(steps.steps(), steps.epoch_steps) for batch in share(step, 0, 1, micro))


def _endless(dataset: ShardDataset, micro: int) -> Iterator[list[Place]]:
    return (batch for step in _plan(dataset, micro).steps() for batch in share(step, 0, 1, micro))


def _plan(dataset: ShardDataset, micro: int) -> BatchPlan:
    bucket, _ = dataset.geometry.buckets(dataset.index)
    return BatchPlan(dataset.index.shard, bucket, np.arange(len(dataset.index)), 0, micro)


def _take(batches: Iterator[MicroBatch], count: int) -> float:
    """Seconds that so many micro-batches take."""
    started = time.perf_counter()
    for _ in islice(batches, count):
        pass
    return time.perf_counter() - started


def proportional_set_size(pid: int) -> float:
    """Megabytes of a process; what it shares with others counts as a part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def draw_shards(folder: Path, samples: int) -> Path:
    """Shards of samples that move, all of one size."""
    pattern = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8 + 1, WIDTH // 8 + 1 + 3 * FRAMES // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    sample = _drawn_sample([pattern[:HEIGHT, 3 * number : 3 * number + WIDTH] for number in range(FRAMES)])
    keyed = [replace(sample, metadata=replace(sample.metadata, clip_id=f"clip{number:05d}")) for number in range(samples)]
    pieces = [stage(str(folder), each) for each in keyed]
    plans, rows = fill(pieces, 0, -(-samples // SHARDS) * pieces[0].size + 1024, seed=0)
    for plan in plans:
        write_shard(str(folder), plan)
    write_shard_index(str(folder), rows, len(plans))
    tidy(str(folder), [plan.name for plan in plans])
    return folder


def _drawn_sample(frames: Sequence[NDArray[np.uint8]]) -> Sample:
    second = 1_000_000_000
    end = FRAMES * second // RATE
    anchors = tuple(
        SampleAnchor(anchor_file(number), AnchorKind.EXPRESSION, Expression(number % len(Expression)), number % 2 * end, number % 2 == 0, None, None)
        for number in range(ANCHORS)
    )
    with ClipEncoder(WIDTH, HEIGHT, Fraction(RATE), PackOptions()) as encoder:
        for frame in frames:
            encoder.add(frame)
        video = encoder.finish()
    sound = np.random.default_rng(0).normal(0, 3000, FRAMES * AUDIO_RATE // RATE).astype(np.int16)
    metadata = SampleMetadata("clip", "video", "shot", "track", "character", 0, end, FRAMES, float(RATE), WIDTH, HEIGHT, "it moves", True, anchors, 0, "drawn")
    return Sample(metadata, video, encode_flac(sound), tuple(_jpeg(frames[number * FRAMES // ANCHORS]) for number in range(ANCHORS)))


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=95)
    return file.getvalue()


def table(figures: dict[str, Any]) -> Table:
    """The figures for a terminal."""
    drawn = Table(title=f"loader, {figures['workers']} workers on {figures['cpus']} CPUs, {figures['samples']} samples, median of {figures['rounds']} rounds")
    for column in ("measure", "value", "target"):
        drawn.add_column(column, justify="left" if column == "measure" else "right")
    drawn.add_row("reading and decoding, bare", f"{figures['bare_samples_per_second']:.1f} samples/s", "")
    drawn.add_row("the loader", f"{figures['loader_samples_per_second']:.1f} samples/s", "")
    drawn.add_row("loader over bare", f"{figures['ratio']:.2f}", f"≥ {RATIO}")
    first, last = figures["megabytes"][min(1, figures["epochs"] - 1)], figures["megabytes"][-1]
    drawn.add_row(f"memory, second to last of {figures['epochs']} epochs", f"{first:.0f} to {last:.0f} MB ({figures['growth']:+.1%})", f"≤ {GROWTH:+.0%}")
    return drawn


if __name__ == "__main__":
    sys.exit(main())
