import math
from dataclasses import replace
from typing import Any

import pytest

from training.check_options import check_options
from training.errors import TrainingError
from training.options import ParallelOptions, TrainingOptions
from training.presets import PRESETS

OPTIONS = TrainingOptions(("shards",), "out", "start")


def changed(name: str, value: Any) -> TrainingOptions:
    """With another value of an option, named as it is typed."""
    group, _, last = name.replace("-", "_").rpartition(".")
    return replace(OPTIONS, **{group: replace(getattr(OPTIONS, group), **{last: value})} if group else {last: value})


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_are_fine(name: str) -> None:
    check_options(PRESETS[name]())


@pytest.mark.parametrize(
    ("name", "least"),
    [
        *((name, 1) for name in ("steps", "batch.size", "batch.micro", "data.block-shards", "data.prefetch", "parallel.threads", "checkpoint.every")),
        *((name, 1) for name in ("checkpoint.keep", "validation.every", "validation.quantiles", "log.every")),
        *((name, 0) for name in ("data.workers", "validation.pictures", "validation.most-samples")),
    ],
)
def test_counts(name: str, least: int) -> None:
    check_options(changed(name, least))
    with pytest.raises(TrainingError, match=f"^--{name} {least - 1}: must be {least} or more$"):
        check_options(changed(name, least - 1))


@pytest.mark.parametrize("name", ["loss.drop-text", "loss.drop-audio", "loss.drop-anchors"])
def test_probabilities(name: str) -> None:
    for value in (0.0, 0.5, 1.0):
        check_options(changed(name, value))
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(TrainingError, match=f"^--{name} {value}: must be a probability, 0 to 1$"):
            check_options(changed(name, value))


def test_the_size_of_the_cache() -> None:
    check_options(changed("data.cache-gigabytes", 0.001))
    for value in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(TrainingError, match=f"^--data.cache-gigabytes {value}: must be above 0$"):
            check_options(changed("data.cache-gigabytes", value))


def test_threads_are_torchs_choice_when_nothing_is_said() -> None:
    assert OPTIONS.parallel == ParallelOptions(threads=None)
    check_options(OPTIONS)
