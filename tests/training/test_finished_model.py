"""What OUT/model holds, against the training's own weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model.checkpoint import Checkpoint
from tests.training.small_training import assembled
from training.finished_model import MODEL, export_finished
from training.loop import train
from training.network import TrainedNetwork
from training.options import OptimizerOptions, TrainingOptions
from training.parts import Parts
from training.processes import Processes

Make = Callable[..., TrainingOptions]


def trained(options: TrainingOptions, alone: Processes) -> Parts:
    parts = assembled(options, alone)
    with parts.log:
        assert train(parts)
        export_finished(parts)
    return parts


def holds(folder: Path, parts: Parts) -> bool:
    assert parts.average is not None
    with parts.average.swapped_in():
        found, wanted = TrainedNetwork.of(Checkpoint.load(folder)).state_dict(), parts.network.state_dict()
        return all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())


@pytest.fixture
def further(small_options: Make) -> Callable[[int], TrainingOptions]:
    return lambda steps: small_options(steps=steps, optimizer=OptimizerOptions(rate=1e-2, schedule="constant", warmup=1, average=0.5))


def test_it_is_that_of_the_last_end(further: Callable[[int], TrainingOptions], alone: Processes, tmp_path: Path) -> None:
    model = tmp_path / "out" / MODEL
    first = trained(further(1), alone)
    assert holds(model, first)
    again = trained(further(3), alone)
    assert holds(model, again)
    assert not holds(model, first)
    assert json.loads((model / "training.json").read_text())["step"] == 3
    assert not list(model.parent.glob(f".{MODEL}*"))


@pytest.mark.parametrize("content", [None, "{", "[]", '{"step": 3}', '{"step": null}', '{"step": 9}'])
def test_what_is_no_older_end_of_it_is_left_alone(further: Callable[[int], TrainingOptions], alone: Processes, tmp_path: Path, content: str | None) -> None:
    model = tmp_path / "out" / MODEL
    model.mkdir(parents=True)
    (model / "mine").write_text("left alone")
    if content is not None:
        (model / "training.json").write_text(content)
    parts = trained(further(3), alone)
    assert [path.name for path in sorted(model.iterdir())] == (["mine"] if content is None else ["mine", "training.json"])
    told = parts.log.console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{model} is there already and left alone; write another with: python -m training export" in told
