"""What a training left behind."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from training.checkpoint_folder import FOLDER, newest_in
from training.export import Weights, read_weights, saved
from training.metrics import NAME, Line, read


def lines(out: Path, kind: str) -> list[Line]:
    """Of metrics.jsonl, in order."""
    return [line for line in read(out / NAME) if line["kind"] == kind]


def losses(out: Path) -> dict[int, float]:
    """By step; each stands once."""
    found = lines(out, "training")
    steps = [line["step"] for line in found]
    assert steps == sorted(set(steps))
    return {line["step"]: line["loss"] for line in found}


def positions(out: Path) -> list[float]:
    """After each step."""
    return [line["position"] for line in lines(out, "training")]


def last_step(out: Path) -> int:
    """The last that is told so far; 0 when none is."""
    return max((line["step"] for line in lines(out, "training")), default=0)


def newest_step(out: Path) -> int:
    """Of the newest checkpoint; 0 when there is none."""
    newest = newest_in(out / FOLDER)
    return 0 if newest is None else int(newest.name.removeprefix("step-"))


def weights(out: Path, kind: Weights = "raw", step: int | None = None) -> dict[str, Tensor]:
    return read_weights(saved(out, step), kind)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """To the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def largest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


def relative_difference(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """Largest, of losses."""
    assert one.keys() == other.keys()
    return max(abs(one[step] - other[step]) / abs(one[step]) for step in one)


def keys(spied: Path) -> list[list[str]]:
    """Of each step, in the order of the ranks; where a step is one micro-batch per rank."""
    ranks = [path.read_text().split("\n")[:-1] for path in sorted(spied.glob("rank-*.txt"))]
    return [[key for line in step for key in line.split()] for step in zip(*ranks, strict=True)]
