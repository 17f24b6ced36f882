"""AdamW, and how its learning rate goes."""

import math
from collections.abc import Mapping

from torch import nn
from torch.optim import AdamW

from training.errors import TrainingError
from training.options import OptimizerOptions


def optimizer_of(trained: Mapping[str, nn.Parameter], options: OptimizerOptions) -> AdamW:
    """AdamW over the trained parameters. The weights of linear and convolution layers decay; biases, norms, embeddings and tables of modulation do not.

    Args:
        trained: by name.
        options: its numbers.

    Raises:
        TrainingError: numbers that cannot be.
    """
    check_optimizer(options)
    layers = [parameter for name, parameter in trained.items() if _of_a_layer(name, parameter)]
    others = [parameter for name, parameter in trained.items() if not _of_a_layer(name, parameter)]
    groups = [{"params": layers, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return AdamW([group for group in groups if group["params"]], lr=options.rate, betas=options.betas, eps=options.epsilon)


def _of_a_layer(name: str, parameter: nn.Parameter) -> bool:
    """Whether it is what a linear or convolution layer multiplies with: a table has as many dimensions and another name, a norm's scale has one."""
    return name.rpartition(".")[2] == "weight" and parameter.ndim >= 2


def rate_at(step: int, steps: int, options: OptimizerOptions) -> float:
    """The learning rate of a step as a share of the highest.

    Args:
        step: from 0; the last is ``steps`` - 1, and beyond it the rate stays.
        steps: of the whole training.
        options: warm-up and what comes after it.
    """
    if step < options.warmup:
        return (step + 1) / options.warmup
    if options.schedule == "constant":
        return 1.0
    last = steps - 1
    done = 1.0 if step >= last else (step - options.warmup) / (last - options.warmup)
    return options.lowest + (1 - options.lowest) * 0.5 * (1 + math.cos(math.pi * done))


def check_optimizer(options: OptimizerOptions) -> None:
    """The numbers must make sense.

    Raises:
        TrainingError: they do not; the option is named.
    """
    wrong = [
        name
        for name, fine in {
            "rate": options.rate > 0,
            "warmup": options.warmup >= 0,
            "lowest": 0 <= options.lowest <= 1,
            "betas": all(0 <= beta < 1 for beta in options.betas),
            "epsilon": options.epsilon > 0,
            "weight-decay": options.weight_decay >= 0,
            "clip": options.clip > 0,
            "average": 0 <= options.average < 1,
        }.items()
        if not fine
    ]
    if wrong:
        raise TrainingError(f"--optimizer.{wrong[0]} {getattr(options, wrong[0].replace('-', '_'))} cannot be; see --help for what it is")
