import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.training.small_training import small_checkpoint
from training.errors import TrainingError
from training.network import TrainedNetwork
from training.optimizer import optimizer_of, rate_at
from training.options import OptimizerOptions

COSINE = OptimizerOptions(warmup=10, lowest=0.2)


def test_the_rate_rises_in_a_straight_line() -> None:
    assert [rate_at(step, 100, COSINE) for step in range(10)] == pytest.approx([(step + 1) / 10 for step in range(10)])


def test_then_it_falls_down_a_cosine_to_the_lowest() -> None:
    assert rate_at(10, 111, COSINE) == 1.0
    assert rate_at(60, 111, COSINE) == pytest.approx(0.6)
    assert rate_at(35, 111, COSINE) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)
    assert rate_at(110, 111, COSINE) == rate_at(1000, 111, COSINE) == 0.2


def test_the_last_step_is_taken_at_the_lowest_rate() -> None:
    """Of 6 steps two rise; the cosine's half turn goes over the others, thirds of it apart."""
    short = replace(COSINE, warmup=2)
    assert [rate_at(step, 6, short) for step in range(6)] == pytest.approx([0.5, 1.0, 1.0, 0.2 + 0.8 * 0.75, 0.2 + 0.8 * 0.25, 0.2])
    assert rate_at(5, 6, short) == rate_at(2, 3, short) == 0.2


def test_or_stays() -> None:
    constant = replace(COSINE, schedule="constant")
    assert {rate_at(step, 100, constant) for step in range(10, 300)} == {1.0}
    assert rate_at(4, 100, constant) == 0.5


def test_no_warm_up_and_fewer_steps_than_its_warm_up() -> None:
    assert rate_at(0, 100, replace(COSINE, warmup=0)) == 1.0
    assert rate_at(4, 5, COSINE) == 0.5


def test_matrices_decay_and_others_do_not() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.fill_(1.0)
    optimizer = optimizer_of(dict(layer.named_parameters()), OptimizerOptions(rate=0.1, weight_decay=0.5))
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.allclose(layer.weight, torch.full((2, 3), 0.95))
    assert torch.equal(layer.bias, torch.ones(2))


def test_layers_decay_and_tables_norms_and_embeddings_do_not() -> None:
    network = TrainedNetwork.of(small_checkpoint())
    trained = dict(network.named_parameters())
    decaying, others = optimizer_of(trained, OptimizerOptions(weight_decay=0.5)).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.5, 0.0)
    layers = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv3d)}
    among = {id(parameter) for parameter in decaying["params"]}
    assert {name for name, parameter in trained.items() if id(parameter) in among} == layers
    rest = {id(parameter) for parameter in others["params"]}
    for name in ("transformer.scale_shift_table", "transformer.blocks.0.scale_shift_table", "transformer.blocks.0.norm2.weight", "text_encoder.words"):
        assert id(trained[name]) in rest
    assert len(among) + len(rest) == len(trained)


def test_there_may_be_no_matrix() -> None:
    bias = nn.Parameter(torch.ones(2))
    assert len(optimizer_of({"bias": bias}, OptimizerOptions()).param_groups) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rate": 0.0}, "--optimizer.rate 0.0"),
        ({"warmup": -1}, "--optimizer.warmup -1"),
        ({"lowest": 1.5}, "--optimizer.lowest 1.5"),
        ({"betas": (0.9, 1.0)}, r"--optimizer.betas \(0.9, 1.0\)"),
        ({"epsilon": 0.0}, "--optimizer.epsilon"),
        ({"weight_decay": -0.1}, "--optimizer.weight-decay -0.1"),
        ({"clip": 0.0}, "--optimizer.clip"),
        ({"average": 1.0}, "--optimizer.average 1.0"),
        ({"rate": math.nan}, "--optimizer.rate nan"),
    ],
)
def test_numbers_that_cannot_be(changes: dict[str, object], said: str) -> None:
    with pytest.raises(TrainingError, match=f"{said}.* cannot be"):
        optimizer_of({"weight": nn.Parameter(torch.ones(1, 1))}, replace(OptimizerOptions(), **changes))  # type: ignore[arg-type]
