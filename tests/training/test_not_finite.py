from typing import Any

import pytest
import torch

from training.errors import TrainingError
from training.learned import Seen
from training.not_finite import refuse

NAN = float("nan")


class Ranks:
    """This one, and another whose answers are known."""

    def __init__(self, *others: list[str]) -> None:
        self._others = list(others)

    def gather(self, value: Any) -> list[Any]:
        return [value, self._others.pop(0)] if self._others else [value]


def told(keys: list[str], losses: list[float], norm: float = NAN, ranks: Ranks | None = None) -> str:
    processes: Any = ranks or Ranks()
    seen = Seen([torch.tensor(losses)], [torch.ones(len(losses))], keys)
    with pytest.raises(TrainingError) as caught:
        refuse(processes, 12, 2, seen, sum(losses), norm)
    return str(caught.value)


def test_the_samples_whose_loss_is_none_are_named() -> None:
    said = told(["a", "b", "c"], [0.5, NAN, 0.25])
    assert said.startswith("step 12 (epoch 2): the loss is nan; the weights were not touched. It came from b. Look at it,")
    assert said.endswith("--data.leave-out b")


def test_infinity_counts() -> None:
    assert "the loss is inf" in (said := told(["a", "b"], [float("inf"), 0.5]))
    assert "It came from a." in said


def test_those_of_other_ranks_too() -> None:
    said = told(["a", "b"], [0.5, NAN], ranks=Ranks(["d"], ["c", "d"]))
    assert "It came from b d. Look at them," in said
    assert said.endswith("--data.leave-out b d")


def test_of_a_gradient_it_may_be_any_of_the_step() -> None:
    said = told(["a", "b"], [0.5, 0.25])
    assert "the gradient's norm is nan, though every loss is finite; the weights were not touched. It came from a b." in said
    assert said.endswith("--data.leave-out a b, or with a lower --optimizer.rate in a new --out")


def test_a_long_list_is_cut() -> None:
    keys = [f"k{number:02d}" for number in range(11)]
    said = told(keys, [NAN] * 11)
    assert "k00 k01 k02 k03 k04 k05 k06 k07 and 3 more" in said
    assert said.endswith("--data.leave-out KEY…")
