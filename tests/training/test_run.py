import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
import yaml

from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.errors import ModelInputError
from model.positions import AnchorPositions
from tests.training.small_training import assembled, small_checkpoint
from training.errors import TrainingError
from training.export import start_of
from training.loop import train
from training.network import TrainedNetwork
from training.options import BatchOptions, LossOptions, OptimizerOptions, TrainingOptions, ValidationOptions
from training.processes import Processes
from training.run import device_peak, noise_distribution, places, start_from
from training.snapshot import SNAPSHOT

Make = Callable[..., TrainingOptions]


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_sigmas_are_shifted_as_the_checkpoint_says_unless_told_otherwise() -> None:
    checkpoint = small_checkpoint()
    assert noise_distribution(LossOptions(), checkpoint).shift == checkpoint.sampling.shift == 3.0
    assert noise_distribution(LossOptions(sigma_shift=1.0), checkpoint).shift == 1.0
    with pytest.raises(TrainingError, match=r"--loss\.sigma…: deviation and shift .* must be above 0"):
        noise_distribution(LossOptions(sigma_deviation=0.0), checkpoint)


def test_places_go_on_from_a_position(small_options: Make, alone: Processes) -> None:
    options = small_options(batch=BatchOptions(4, 3))
    parts = assembled(options, alone)
    whole = list(islice(places(parts.plan, options, alone, 0), 24))
    position = list(islice(parts.plan.steps(0), 2))[-1].position_after
    assert list(islice(places(parts.plan, options, alone, position), 20)) == whole[4:]
    epoch = list(islice(places(parts.plan, options, alone, 0), 10))  # four steps in two micro-batches, two in one
    assert sorted(place.row for micro in epoch for place in micro) == list(range(18))


def test_a_device_that_nobody_knows_is_measured() -> None:
    assert 1e8 < device_peak(torch.device("cpu"), torch.float32) < 1e15


def test_frozen_parts_are_neither_optimised_nor_averaged(small_options: Make, alone: Processes) -> None:
    parts = assembled(small_options(trained=("audio",)), alone)
    assert parts.average is not None
    assert all(name.startswith("transformer.audio_") for name in parts.trained)
    assert set(parts.average.state_dict()) == set(parts.trained)
    assert sum(len(group["params"]) for group in parts.optimizer.param_groups) == len(parts.trained)


def test_anchors_may_stand_elsewhere(small_options: Make, alone: Processes) -> None:
    elsewhere = AnchorPositions(first=40.0)
    from training.run import assemble

    parts = assemble(small_options(), alone, assembled(small_options(), alone).log.console, elsewhere)
    assert parts.conditioner.positions == elsewhere


def test_options_that_cannot_be_end_it_before_anything_is_written(small_options: Make, alone: Processes, tmp_path: Path) -> None:
    wrong = {
        "rate": small_options(optimizer=OptimizerOptions(rate=-1.0)),
        "validation.share": small_options(validation=ValidationOptions(share=2.0)),
        "nothing is trained": small_options(trained=()),
        "batch.size": small_options(batch=BatchOptions(size=0)),
    }
    for said, options in wrong.items():
        with pytest.raises(TrainingError, match=said):
            assembled(options, alone)
    assert not (tmp_path / "out" / "config.yaml").exists()


def test_it_starts_from_a_folder_or_from_another_training(small_options: Make, small_start: Path, alone: Processes, tmp_path: Path) -> None:
    assert same(TrainedNetwork.of(start_from(small_start)), TrainedNetwork.of(small_checkpoint()))
    parts = assembled(small_options(steps=3, optimizer=OptimizerOptions(warmup=1, average=0.5)), alone)
    with parts.log:
        assert train(parts)
    out = tmp_path / "out"
    began = start_from(out)
    assert parts.average is not None
    with parts.average.swapped_in():
        assert same(TrainedNetwork.of(began), parts.network)
    assert began.transformer.dtype == torch.float32
    with pytest.raises(ModelInputError, match="is no checkpoint"):
        start_from(tmp_path)


def test_a_resume_is_held_to_its_options(small_options: Make, alone: Processes) -> None:
    parts = assembled(small_options(steps=1), alone)
    with parts.log:
        train(parts)
    with pytest.raises(TrainingError, match="seed was 0, is 1"):
        assembled(replace(small_options(steps=1), seed=1), alone)


def test_a_resume_is_held_to_what_it_started_from(small_options: Make, alone: Processes, small_start: Path, tmp_path: Path) -> None:
    parts = assembled(small_options(steps=1), alone)
    with parts.log:
        train(parts)
    moved = shutil.copytree(small_start, tmp_path / "moved")
    assert assembled(replace(small_options(steps=1), from_checkpoint=str(moved)), alone).progress.step == 1
    assert start_of(tmp_path / "out") == moved
    PixelUnshuffleCodec(4, 1).save(moved / "vae")  # as many channels
    with pytest.raises(TrainingError, match=f"{moved} is not what the training in {tmp_path / 'out'} started from: other codec"):
        assembled(replace(small_options(steps=1), from_checkpoint=str(moved)), alone)


CONSTANT = OptimizerOptions(schedule="constant", warmup=1)


def test_a_training_that_goes_on_says_so_in_its_snapshot(small_options: Make, alone: Processes, tmp_path: Path) -> None:
    parts = assembled(small_options(steps=2, optimizer=CONSTANT), alone)
    with parts.log:
        train(parts)
    further = small_options(steps=4, optimizer=CONSTANT)
    assembled(replace(further, data=replace(further.data, leave_out=("clip-03",))), alone)
    snapshot = yaml.safe_load((tmp_path / "out" / SNAPSHOT).read_text())
    assert (snapshot["steps"], snapshot["data"]["leave_out"]) == (4, ["clip-03"])


def test_it_does_not_go_back(small_options: Make, alone: Processes, tmp_path: Path) -> None:
    parts = assembled(small_options(steps=3, optimizer=CONSTANT), alone)
    with parts.log:
        train(parts)
    with pytest.raises(TrainingError, match=r"--steps 2: the training in .* has done 3 already; give 3 or more"):
        assembled(small_options(steps=2, optimizer=CONSTANT), alone)
    assert yaml.safe_load((tmp_path / "out" / SNAPSHOT).read_text())["steps"] == 3
