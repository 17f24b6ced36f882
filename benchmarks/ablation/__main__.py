"""What the superset and the anchors' positions are worth: the paper's ablations, on drawn characters, with the trainer itself.

    python -m benchmarks.ablation [--seeds 0 1] [--steps 3000] [--at-once 2] [--out ablation]

Characters are coloured patches (``drawn``): a body, an emblem that is another one from each side, a mouth that is another one with each
expression, before a wall whose colour the caption tells. The caption also asks for a view and an expression; how they look only the anchors
know, and which anchor shows what only its position tells. Each arm trains the real network with the real trainer on the same shards for some
CPU minutes, and makes clips of characters that it has never seen, with anchors from before another wall:

    paste     how far the generated wall has gone from the caption's colour (0) to the anchors' (1)
    choice    share of emblems and mouths that are those of the asked view and expression; chance is 1/4 and 1/3

Written to --out: ablation.json, scores.png (over steps), samples.png (generated clips beside their anchors). The exit status is 1 when an arm does not come
out as expected (``arms``). A training that is finished is not done again.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.ablation import chart, pictures
from benchmarks.ablation.arm_run import Point, held_out, train_arm
from benchmarks.ablation.arms import ARMS, LEAST_CHOICE, LEAST_PASTE, MOST_CHOICE, MOST_PASTE
from benchmarks.ablation.drawn import EXPRESSIONS, VIEWS
from benchmarks.ablation.scores import Scores

CHANCE = (1 / len(VIEWS) + 1 / len(EXPRESSIONS)) / 2
DONE = "done.json"


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.only is not None:
        only(options)
        return 0
    console = Console()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = [(name, seed) for seed in options.seeds for name in options.arms]
    with ThreadPoolExecutor(options.at_once) as at_once:
        list(at_once.map(lambda one: train_apart(one[0], one[1], options, console), wanted))
    found = {name: [read(folder_of(options.out, name, seed)) for seed in options.seeds] for name in options.arms}
    write(options, found)
    tell(console, found)
    return 0 if all(ARMS[name].met(curve[-1].scores) for name, curves in found.items() for curve in curves) else 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM", help=f"default: all of {', '.join(ARMS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="default: 0 1")
    parser.add_argument("--steps", type=int, default=3000, help="of each training (default: 3000)")
    parser.add_argument("--every", type=int, default=300, help="steps from one point of the curves to the next (default: 300)")
    parser.add_argument("--at-once", type=int, default=2, help="trainings at a time, one thread each (default: 2)")
    parser.add_argument("--out", type=Path, default=Path("ablation"), help="folder (default: ablation)")
    parser.add_argument("--only", default=None, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def only(options: argparse.Namespace) -> None:
    """One training, in a process of its own."""
    (seed,) = options.seeds
    folder = folder_of(options.out, options.only, seed)
    began = time.process_time()
    points = train_arm(ARMS[options.only], seed, options.steps, options.every, folder)
    (folder / DONE).write_text(json.dumps({"cpu_seconds": time.process_time() - began, "points": [asdict(point) for point in points]}))


def train_apart(name: str, seed: int, options: argparse.Namespace, console: Console) -> None:
    """Start a training and wait for it."""
    folder = folder_of(options.out, name, seed)
    if (folder / DONE).exists():
        return
    common = ["--seeds", str(seed), "--steps", str(options.steps), "--every", str(options.every), "--out", str(options.out)]
    subprocess.run([sys.executable, "-m", "benchmarks.ablation", "--only", name, *common], check=True)
    last, seconds = read(folder)[-1].scores, json.loads((folder / DONE).read_text())["cpu_seconds"]
    console.print(f"{name}, seed {seed}: paste {last.paste:.3f}, choice {last.choice:.3f}, {seconds / 60:.1f} CPU minutes", highlight=False)


def folder_of(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.replace(',', '').replace(' ', '-')}-{seed}"


def read(folder: Path) -> list[Point]:
    points = json.loads((folder / DONE).read_text())["points"]
    return [Point(point["step"], Scores(**point["scores"])) for point in points]


def write(options: argparse.Namespace, found: dict[str, list[list[Point]]]) -> None:
    """Figures, curves and pictures."""
    content = {name: [[asdict(point) for point in curve] for curve in curves] for name, curves in found.items()}
    (options.out / "ablation.json").write_text(json.dumps(content, indent=1) + "\n")
    curves = {name: [[(point.step, point.scores) for point in curve] for curve in each] for name, each in found.items()}
    (options.out / "scores.png").write_bytes(chart.draw(curves, CHANCE))
    clips = {name: torch.load(folder_of(options.out, name, options.seeds[0]) / "generated.pt") for name in found}
    (options.out / "samples.png").write_bytes(pictures.draw(held_out(), clips))


def tell(console: Console, found: dict[str, list[list[Point]]]) -> None:
    title = f"paste: < {MOST_PASTE} with the superset, > {LEAST_PASTE} without; choice: > {LEAST_CHOICE} with class offsets, < {MOST_CHOICE} else"
    table = Table(title=f"{title} (chance {CHANCE:.2f})")
    for heading in ("arm", "seeds", "paste", "choice", "view", "expression", "as expected"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for name, curves in found.items():
        last = [curve[-1].scores for curve in curves]
        columns = [" ".join(f"{value:.3f}" for value in values) for values in zip(*((s.paste, s.choice, s.view, s.expression) for s in last), strict=True)]
        table.add_row(name, str(len(curves)), *columns, "yes" if all(ARMS[name].met(scores) for scores in last) else "no")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
