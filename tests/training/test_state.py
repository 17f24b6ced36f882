"""What is saved is all that the next step depends on, on one rank or several, whole or sharded."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from tests.training.on_ranks import on_ranks
from training.checkpoint_folder import FOLDER, newest_in
from training.checkpoints import Checkpoints
from training.ema import MovingAverage
from training.processes import Processes
from training.state import TrainingState


class Network(nn.Module):
    """A frozen layer, one that not every batch needs, a buffer, and sizes that do not divide by 2."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.sometimes, self.last = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.register_buffer("scale", torch.full((3,), 0.5))
        self.frozen.requires_grad_(False)

    def forward(self, inputs: Tensor, all_of_it: bool) -> Tensor:
        hidden = torch.tanh(self.frozen(inputs))
        output: Tensor = self.last(self.sometimes(hidden) if all_of_it else hidden) * self.scale
        return output


@dataclass
class Training:
    model: nn.Module
    optimizer: AdamW
    schedule: LRScheduler
    average: MovingAverage
    state: TrainingState

    def step(self, all_of_it: bool = True) -> float:
        """A step on inputs, targets and noise from each of the global generators."""
        noise = random.random() + np.random.random() + torch.rand(6, 4)
        loss: Tensor = (self.model(noise, all_of_it) - 1).square().mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.average.update()
        return loss.item()

    def everything(self) -> dict[str, Any]:
        """All tensors and values, whole; without the states of random number generators, which are not told by their bytes."""
        return {name: value for name, value in flat(self.state.capture({})).items() if name != "/random"}


def training(processes: Processes, seed: int = 0, strategy: str = "none") -> Training:
    seed_all(seed)
    network = Network()
    model: nn.Module = network
    if strategy == "fsdp":
        mesh = init_device_mesh("cpu", (processes.ranks,))
        for module in (network.sometimes, network.last, network):
            fully_shard(module, mesh=mesh)
    elif strategy == "ddp":
        model = DistributedDataParallel(network, find_unused_parameters=True)
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    biases = [parameter for name, parameter in named.items() if name.endswith("bias")]
    groups: list[dict[str, Any]] = [
        {"params": biases, "weight_decay": 0.0},
        {"params": [parameter for name, parameter in named.items() if not name.endswith("bias")]},
    ]
    optimizer = AdamW(groups, lr=0.1, weight_decay=0.1)
    schedule, average = LambdaLR(optimizer, lambda step: 1 / (1 + step)), MovingAverage(named, 0.7, network)
    return Training(model, optimizer, schedule, average, TrainingState(model, optimizer, schedule, average, processes))


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def flat(content: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        return {name: value for key, inner in items for name, value in flat(inner, f"{prefix}/{key}").items()}
    if isinstance(content, Tensor):
        return {prefix: (content.full_tensor() if hasattr(content, "full_tensor") else content).detach().clone()}
    return {prefix: content}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) if isinstance(one[name], Tensor) else one[name] == other[name] for name in one
    )


def resumed(made: Training, checkpoints: Checkpoints) -> dict[str, int]:
    checkpoints.finish()
    newest, state = checkpoints.newest(), made.state.capture({})
    assert newest is not None
    checkpoints.load(newest, state)
    return made.state.restore(state)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_training_goes_on_as_if_nothing_had_been(tmp_path: Path, alone: Processes, steps: int) -> None:
    with Checkpoints(tmp_path, 1, alone) as checkpoints:
        unbroken = training(alone)
        for _ in range(steps):
            unbroken.step()
        checkpoints.save(steps, unbroken.state.capture({"step": steps, "position": 6 * steps}))
        expected = [unbroken.step() for _ in range(3)]
        again = training(alone, seed=1)
        assert resumed(again, checkpoints) == {"step": steps, "position": 6 * steps}
        assert [again.step() for _ in range(3)] == expected
        assert equal(again.everything(), unbroken.everything())


def test_weights_without_a_gradient_yet(tmp_path: Path, alone: Processes) -> None:
    """For instance those that hear, as long as no sample had a sound."""
    with Checkpoints(tmp_path, 1, alone) as checkpoints:
        untouched, unbroken, again = training(alone), training(alone), training(alone)
        for each in (untouched, unbroken):
            seed_all(5)
            for _ in range(2):
                each.step(all_of_it=False)
        checkpoints.save(2, unbroken.state.capture({}))
        resumed(again, checkpoints)
        for each in (untouched, unbroken, again):
            seed_all(6)
            for _ in range(2):
                each.step()
        expected = untouched.everything()  # nothing was asked of it before its last step
        assert equal(unbroken.everything(), expected)
        assert equal(again.everything(), expected)


def test_what_is_frozen_is_saved_but_has_neither_moments_nor_average(alone: Processes) -> None:
    made = training(alone)
    made.step()
    state = made.state.capture({"step": 1})
    assert set(state["model"]) == {"frozen.weight", "frozen.bias", "sometimes.weight", "sometimes.bias", "last.weight", "last.bias", "scale"}
    trained = {name for name in state["model"] if name.startswith(("sometimes", "last"))}
    assert set(state["average"]) == set(state["optimizer"]["state"]) == trained
    assert state["progress"] == {"step": 1}


def test_without_an_average_there_is_none_in_it(alone: Processes) -> None:
    made = training(alone)
    assert "average" not in TrainingState(made.model, made.optimizer, made.schedule, None, alone).capture({})


WAYS = ("none", "ddp", "fsdp")


def test_every_way_of_laying_it_out_reads_every_other(tmp_path: Path, alone: Processes) -> None:
    from training.export import read_weights  # here, for the ranks import this file too, and what that imports takes longer than they do

    expected = write(alone, tmp_path, ["none"])
    (more, found), (_, found_on_other) = on_ranks(2, write_and_read, tmp_path, ["ddp", "fsdp"])
    expected |= more
    assert not equal(expected["none"], expected["ddp"])
    for where, all_found in (("rank 0 of 2", found), ("rank 1 of 2", found_on_other), ("alone", read(alone, tmp_path, ["none", "fsdp"]))):
        for (way, written), content in all_found.items():
            assert equal(content, expected[written]), f"{written} read by {way}, {where}"
    for written in WAYS:
        path, content = newest_in(tmp_path / written / FOLDER), expected[written]
        assert path is not None
        raw = {name.removeprefix("/model/"): value for name, value in content.items() if name.startswith("/model/")}
        average = {name.removeprefix("/average/"): value for name, value in content.items() if name.startswith("/average/")}
        assert equal(read_weights(path, "raw"), raw), f"{written} exported"
        assert equal(read_weights(path, "average"), raw | average), f"{written} exported"


def write_and_read(out: Path, ways: list[str]) -> tuple[dict[str, Any], dict[tuple[str, str], Any]]:
    with Processes.start("cpu") as processes:
        return write(processes, out, ways), read(processes, out, ways)


def write(processes: Processes, out: Path, ways: list[str]) -> dict[str, Any]:
    """A training of a few steps in each way, saved; what was saved."""
    saved = {}
    for way in ways:
        made = training(processes, WAYS.index(way), way)
        for _ in range(2):
            made.step()
        with Checkpoints(out / way, 1, processes) as checkpoints:
            checkpoints.save(2, made.state.capture({"step": 2}))
        saved[way] = made.everything()
    return saved


def read(processes: Processes, out: Path, ways: list[str]) -> dict[tuple[str, str], Any]:
    """All that was saved, taken up in each way; what is there then, by that way and by the way in which it was saved."""
    found = {}
    for way in ways:
        for written in WAYS:
            made = training(processes, 17, way)
            made.step()
            assert resumed(made, Checkpoints(out / written, 1, processes)) == {"step": 2}
            found[way, written] = made.everything()
    return found


def test_each_rank_gets_its_own_random_numbers_back(tmp_path: Path) -> None:
    drawn = on_ranks(2, draw, tmp_path)
    assert drawn[0] != drawn[1]
    assert on_ranks(2, draw, tmp_path) == drawn
    assert draw(tmp_path) == drawn[0]


def draw(out: Path) -> tuple[float, float, float]:
    """Random numbers after a checkpoint, which is written the first time and read the next."""
    with Processes.start("cpu") as processes, Checkpoints(out, 1, processes) as checkpoints:
        made = training(processes)
        seed_all(100 + processes.rank)
        if checkpoints.newest() is None:
            checkpoints.save(1, made.state.capture({}))
        else:
            seed_all(7)
            resumed(made, checkpoints)
        return random.random(), np.random.random(), torch.rand(()).item()
