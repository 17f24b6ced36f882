from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.flow import SigmaDistribution
from schemas.sample import Sample, SampleError
from tests.training.small_training import assembled
from training.data.reader import ShardReader
from training.metrics import NAME, read
from training.options import TrainingOptions, ValidationOptions
from training.parts import Parts
from training.processes import Processes
from training.validation import loss_name, noise_levels

HELD_OUT = ValidationOptions(share=0, characters=("character-3",), quantiles=2, pictures=1)


def test_where_nobody_is_held_out_samples_of_the_training_are_drawn(small_options: Callable[..., TrainingOptions], alone: Processes, tmp_path: Path) -> None:
    parts = assembled(small_options(validation=ValidationOptions(share=0, pictures=1)), alone)
    with parts.log:
        parts.validate()
    assert (tmp_path / "out" / "samples" / "step-000000.png").exists()
    assert not [line for line in read(tmp_path / "out" / NAME) if line["kind"] == "validation"]


@pytest.fixture
def parts(small_options: Callable[..., TrainingOptions], alone: Processes) -> Parts:
    return assembled(small_options(validation=HELD_OUT), alone)


def test_losses_a_picture_and_a_curve_are_left(parts: Parts, tmp_path: Path) -> None:
    parts.progress.step = 10
    with parts.log:
        parts.validate()
    out = tmp_path / "out"
    (line,) = [line for line in read(out / NAME) if line["kind"] == "validation"]
    levels = noise_levels(SigmaDistribution(shift=3.0), 2)
    assert line["samples"] == 4  # of 18 clips, every fourth is the character's
    assert line["loss"] == pytest.approx(sum(line[loss_name(level)] for level in levels) / 2)
    assert (out / "samples" / "step-000010.png").stat().st_size > 0
    assert (out / "loss.png").stat().st_size > 0


def test_it_looks_at_the_averages_and_leaves_all_as_it_was(parts: Parts, tmp_path: Path) -> None:
    assert parts.average is not None
    with parts.log:
        parts.validate()
        before = {name: parameter.clone() for name, parameter in parts.network.named_parameters()}
        random = torch.get_rng_state()
        with torch.no_grad():
            for parameter in parts.network.parameters():
                parameter.add_(1.0)  # which the averages do not know
        parts.progress.step = 1
        parts.validate()
    first, second = (line["loss"] for line in read(tmp_path / "out" / NAME) if line["kind"] == "validation")
    assert first == second
    assert all(torch.equal(parameter, before[name] + 1.0) for name, parameter in parts.network.named_parameters())
    assert parts.network.training
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("held_out", [True, False])
def test_damaged_samples_are_told_once_a_look(held_out: bool, small_options: Callable[..., TrainingOptions], alone: Processes, tmp_path: Path) -> None:
    options = small_options(validation=HELD_OUT if held_out else ValidationOptions(share=0, pictures=2))
    parts = assembled(replace(options, data=replace(options.data, skip_damaged=True)), alone)
    assert parts.validator is not None
    dataset, damaged = parts.validator.dataset, parts.validator.rows[0]
    dataset.reader = Damaged(dataset.reader, damaged)  # type: ignore[assignment]
    with parts.log:
        for parts.progress.step in (10, 20):
            parts.validate()
    lines = [line for line in read(tmp_path / "out" / NAME) if line["kind"] == "skipped"]
    key = str(dataset.index.keys[damaged])
    assert [(line["step"], line["key"], line["reason"]) for line in lines] == [(step, key, f"{key}: is damaged") for step in (10, 20)]
    assert [line["samples"] for line in read(tmp_path / "out" / NAME) if line["kind"] == "validation"] == [3, 3] * held_out


class Damaged:
    """A reader to which one row is damaged."""

    def __init__(self, reader: ShardReader, row: int) -> None:
        self._reader, self._row = reader, row

    def read(self, row: int) -> Sample:
        if row == self._row:
            raise SampleError(f"{self._reader.index.keys[row]}: is damaged")
        return self._reader.read(row)
