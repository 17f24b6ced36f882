"""Are boundaries between chunks seen? Mean differences from frame to frame, there and inside chunks.

    python -m benchmarks.chunk_boundaries [--network FILE] [--json seams.json] [--plot seams.png] [--threads 1]

Two denoisers make videos of a dozen chunks with the project's own loop. One is a network too small to be of use, trained on drawn videos (minutes on a CPU;
with --network it is kept in a file, and taken from there the next time): it errs as networks do. The other's answer is known: what is seen of its boundaries
is the loop's doing. The exit status is 1 when a boundary, or the frames that two chunks share, change more than 1.2 times as much as what lies inside chunks
(chunks that are cut off instead of blended are measured too, and may), and when the network has not learned to continue, for noise hides every boundary.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.chunk_boundaries.chart import draw
from benchmarks.chunk_boundaries.drawn import clips, colours, row
from benchmarks.chunk_boundaries.generated import exact, generate, makes, makes_known, plan_of, smearing
from benchmarks.chunk_boundaries.learned import Learned, learned
from benchmarks.chunk_boundaries.seams import TARGET, Seams, measure
from benchmarks.chunk_boundaries.training import Trained, TrainingOptions, train
from model.generate.options import Continuation

CODECS = {"exact": exact, "smearing": smearing}
CONTINUATIONS: tuple[Continuation, ...] = ("latents", "frames")
TRAINED = "trained"
DENOISERS = ("known", TRAINED)


@dataclass(frozen=True, slots=True)
class Case:
    """One way to make videos, and what came of it."""

    denoiser: str
    codec: str
    continuation: str
    blended: bool
    seams: Seams

    @property
    def name(self) -> str:
        return f"{self.denoiser} denoiser, {self.codec} codec, continued from {self.continuation}, {'blended' if self.blended else 'cut'}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chunk_boundaries", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--network", type=Path, help="file to keep the trained network in, and to take it from")
    parser.add_argument("--steps", type=int, default=TrainingOptions().steps, help="steps of training")
    parser.add_argument("--chunks", type=int, default=12, help="per video, 2 or more")
    parser.add_argument("--videos", type=int, default=4, help="of each kind")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="write a picture of them there (PNG)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    console = Console()
    return report(_trained(options.network, TrainingOptions(steps=options.steps), console), options.chunks, options.videos, console, options.json, options.plot)


def report(trained: Trained, chunks: int, videos: int, console: Console, json_file: Path | None, plot: Path | None) -> int:
    """Generate, measure, print and write; returns the exit status."""
    options, generator = trained.options, torch.Generator().manual_seed(trained.options.seed + 1)
    shown, plan = colours(videos, generator), plan_of(options, chunks)
    drawn = measure(list(clips(shown, plan.total, options.side, generator)), plan).inside
    known = learned(trained)
    cases: list[Case] = []
    pictures: dict[str, Tensor] = {}
    for denoiser, codec, continuation in product(DENOISERS, CODECS, CONTINUATIONS):
        made = []
        for number in range(videos):
            pixels, own = CODECS[codec](), row(shown, number)
            make = makes(trained, own, pixels) if denoiser == TRAINED else makes_known(options, own, pixels)
            made.append(generate(make, plan, options.side, pixels, continuation, number))
        for blended in (True, False):
            frames = [video.blended if blended else video.cut for video in made]
            cases.append(Case(denoiser, codec, continuation, blended, measure(frames, plan)))
            if blended and (denoiser == TRAINED or not pictures):
                pictures[cases[-1].name] = frames[0]
    _print(console, known, cases, drawn)
    if json_file is not None:
        rows = [{**asdict(case), "ratio": case.seams.ratio, "like_for_like": case.seams.like_for_like} for case in cases]
        found = {"target": TARGET, "drawn": drawn, "learned": asdict(known), "training": asdict(options), "losses": trained.losses, "cases": rows}
        json_file.write_text(json.dumps(found, indent=1) + "\n")
    if plot is not None:
        first = clips(row(shown, 0), plan.total, options.side, generator)
        plot.write_bytes(draw(pictures, plan, measure(list(first), plan).inside))
    if not known.is_enough:
        console.print("the network has not learned enough for its videos to show anything: train for more steps", style="bold red")
    return int(not known.is_enough or not all(case.seams.is_met for case in cases if case.blended))


def _trained(file: Path | None, options: TrainingOptions, console: Console) -> Trained:
    if file is not None and file.exists():
        return Trained.load(file)
    start = time.perf_counter()
    losses: list[float] = []

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        if (step + 1) % 100 == 0:
            console.print(f"step {step + 1} of {options.steps}, {time.perf_counter() - start:.0f} s: loss {sum(losses[-100:]) / 100:.4f}")

    trained = train(options, on_step)
    if file is not None:
        trained.save(file)
    return trained


def _print(console: Console, known: Learned, cases: Sequence[Case], drawn: float) -> None:
    console.print(
        f"given two latents, the network goes on with an error of {known.continued:.4f} per value (values are -1..1); "
        f"standing still would give {known.stood_still:.4f}"
    )
    table = Table(title=f"mean differences from frame to frame; in drawn videos {drawn:.4f}")
    for column in ("denoiser", "codec", "continued from", "chunks"):
        table.add_column(column)
    for column in ("boundary", "overlap", "inside", "of these between latents", f"ratio, at most {TARGET}", "boundary over between latents"):
        table.add_column(column, justify="right")
    for case in cases:
        seams = case.seams
        figures = [f"{value:.4f}" for value in (seams.boundary, seams.overlap, seams.inside, seams.between_latents)]
        verdict = f"{seams.ratio:.2f}" if seams.is_met else f"[bold red]{seams.ratio:.2f}[/]"
        table.add_row(case.denoiser, case.codec, case.continuation, "blended" if case.blended else "cut", *figures, verdict, f"{seams.like_for_like:.2f}")
    console.print(table)
    console.print(f"{cases[0].seams.boundaries} boundaries in each row")


if __name__ == "__main__":
    sys.exit(main())
