"""AdamW, and how its learning rate goes."""

import math
from collections.abc import Mapping

from torch import nn
from torch.optim import AdamW

from training.errors import TrainingError
from training.options import OptimizerOptions


def optimizer_of(trained: Mapping[str, nn.Parameter], options: OptimizerOptions) -> AdamW:
    """AdamW over the trained parameters. Matrices decay; biases, norms' scales and tables do not.

    Raises:
        TrainingError: numbers that cannot be.
    """
    check_optimizer(options)
    matrices = [parameter for parameter in trained.values() if parameter.ndim >= 2]
    others = [parameter for parameter in trained.values() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return AdamW([group for group in groups if group["params"]], lr=options.rate, betas=options.betas, eps=options.epsilon)


def rate_at(step: int, steps: int, options: OptimizerOptions) -> float:
    """The learning rate of a step as a share of the highest.

    Args:
        step: from 0; beyond the last it is the last one's.
        steps: of the whole training.
        options: warm-up and what comes after it.
    """
    if step < options.warmup:
        return (step + 1) / options.warmup
    if options.schedule == "constant":
        return 1.0
    done = min(1.0, (step - options.warmup) / max(1, steps - options.warmup))
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
