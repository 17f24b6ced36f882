import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from training.errors import TrainingError
from training.optimizer import optimizer_of, rate_at
from training.options import OptimizerOptions

COSINE = OptimizerOptions(warmup=10, lowest=0.2)


def test_the_rate_rises_in_a_straight_line() -> None:
    assert [rate_at(step, 100, COSINE) for step in range(10)] == pytest.approx([(step + 1) / 10 for step in range(10)])


def test_then_it_falls_down_a_cosine_to_the_lowest() -> None:
    assert rate_at(10, 110, COSINE) == 1.0
    assert rate_at(60, 110, COSINE) == pytest.approx(0.6)
    assert rate_at(35, 110, COSINE) == pytest.approx(0.2 + 0.8 * (1 + math.sqrt(0.5)) / 2)
    assert rate_at(110, 110, COSINE) == rate_at(1000, 110, COSINE) == pytest.approx(0.2)


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
