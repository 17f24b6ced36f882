"""Numbers that the options may have, checked before anything is read: a wrong one is a sentence at once, not a failure after an hour."""

import math
from operator import attrgetter
from typing import Any

from training.errors import TrainingError
from training.options import TrainingOptions

_COUNTS = (
    "steps",
    "batch.size",
    "batch.micro",
    "data.block_shards",
    "data.prefetch",
    "parallel.threads",
    "checkpoint.every",
    "checkpoint.keep",
    "validation.every",
    "validation.quantiles",
    "log.every",
)
_COUNTS_FROM_ZERO = ("data.workers", "validation.most_samples", "validation.pictures")
_PROBABILITIES = ("loss.drop_text", "loss.drop_audio", "loss.drop_anchors")
_SIZES = ("data.cache_gigabytes",)


def check_options(options: TrainingOptions) -> None:
    """The numbers that need nothing else to be judged must make sense; what depends on the checkpoint or the shards is checked where those are read.

    Raises:
        TrainingError: one does not; the option is named as it is typed, with what it may be.
    """
    for name in _COUNTS:
        _check(options, name, "1 or more", low=1)
    for name in _COUNTS_FROM_ZERO:
        _check(options, name, "0 or more", low=0)
    for name in _PROBABILITIES:
        _check(options, name, "a probability, 0 to 1", low=0, high=1)
    for name in _SIZES:
        _check(options, name, "above 0", low=math.ulp(0))


def _check(options: TrainingOptions, name: str, may_be: str, low: float, high: float = math.inf) -> None:
    value: Any = attrgetter(name)(options)
    if value is not None and not (low <= value <= high and math.isfinite(value)):  # so that nan is refused, too
        raise TrainingError(f"--{name.replace('_', '-')} {value}: must be {may_be}")
