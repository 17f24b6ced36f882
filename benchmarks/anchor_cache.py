"""What ``--cache-anchors`` saves, and what it changes.

    python -m benchmarks.anchor_cache [--anchors 1 3 5 8] [--rounds 7] [--json FILE]
    python -m benchmarks.anchor_cache --video WITHOUT.mp4 WITH.mp4

Saved: seconds of a forward pass (no gradients; network and sizes of the preset ``cpu`` of ``benchmarks.model_cost``) with K anchors in full attention, with
their keys and values out of a cache, and without anchors; each round does all of them, and medians of the ratios of a round
count. Beside them the counted ratios.

Changed: two videos of the same command, once with --cache-anchors, are compared frame by frame (mean absolute difference of pixels, of 255).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.model_cost import SIZES, Setting, build, draw, timed
from model.flops import forward_flops
from model.transformer import AnchorWanTransformer3DModel


@dataclass(frozen=True)
class Saving:
    """Of a forward pass with so many anchors; ratios are to the pass without anchors.

    Attributes:
        anchors: of the sample.
        full, cached: measured.
        counted_full, counted_cached: of the operations.
    """

    anchors: int
    full: float
    cached: float
    counted_full: float
    counted_cached: float


@torch.no_grad()
def measure(counts: Sequence[int], rounds: int, size: tuple[int, int, int] = SIZES["cpu"]) -> list[Saving]:
    """The saving for each number of anchors."""
    setting = Setting("cpu", size)
    model = build(setting).eval()
    none = draw(model, setting, 0)
    return [_saving(model, setting, none, count, rounds) for count in counts]


def _saving(model: AnchorWanTransformer3DModel, setting: Setting, none: dict[str, Tensor], count: int, rounds: int) -> Saving:
    full = draw(model, setting, count)
    cache = model.cache_anchors(full["anchors"], full["anchor_positions"], full["encoder_hidden_states"])
    times: dict[str, list[float]] = {"none": [], "full": [], "cached": []}
    for number in range(rounds + 1):
        took = {
            "none": timed("cpu", lambda: model(**none, return_dict=False))[0],
            "full": timed("cpu", lambda: model(**full, return_dict=False))[0],
            "cached": timed("cpu", lambda: model(**none, anchor_cache=cache, return_dict=False))[0],
        }
        if number:  # the first round warms up
            for name, seconds in took.items():
                times[name].append(seconds)
    ratio = {name: median(mine / base for mine, base in zip(times[name], times["none"], strict=True)) for name in ("full", "cached")}
    counted = {cached: forward_flops(model.config, setting.video, count, anchors_cached=cached).total for cached in (False, True)}
    base = forward_flops(model.config, setting.video).total
    return Saving(count, ratio["full"], ratio["cached"], counted[False] / base, counted[True] / base)


def difference(first: Path, second: Path) -> float:
    """Mean absolute difference of two videos' pixels, of 255."""
    with av.open(str(first)) as one, av.open(str(second)) as other:
        pairs = zip(one.decode(video=0), other.decode(video=0), strict=True)
        found = [np.abs(a.to_ndarray(format="rgb24").astype(int) - b.to_ndarray(format="rgb24")).mean() for a, b in pairs]
    return float(np.mean(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.anchor_cache", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, nargs="+", default=[1, 3, 5, 8], help="numbers of anchors (default 1 3 5 8)")
    parser.add_argument("--rounds", type=int, default=7, help="that count (default 7)")
    parser.add_argument("--video", type=Path, nargs=2, help="two videos to compare instead")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    if options.video:
        Console().print(f"mean absolute difference of pixels: {difference(*options.video):.2f} of 255")
        return 0
    torch.set_num_threads(1)
    savings = measure(options.anchors, options.rounds)
    table = Table("anchors", "full", "counted", "cached", "counted", "saved", title="forward pass, relative to no anchors")
    for row in savings:
        numbers = (row.full, row.counted_full, row.cached, row.counted_cached)
        table.add_row(f"{row.anchors}", *(f"{number:.3f}" for number in numbers), f"{1 - row.cached / row.full:.0%}")
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in savings], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
