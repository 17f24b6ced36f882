"""One thread: what is tested is small, and the same numbers come out on any machine."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from tests.training.small_training import options, small_checkpoint, write_small_shards
from training.options import TrainingOptions
from training.processes import Processes

torch.set_num_threads(1)


@pytest.fixture
def alone() -> Iterator[Processes]:
    """The only rank of a training."""
    with Processes.start("cpu") as processes:
        yield processes


@pytest.fixture(scope="session")
def small_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ``small_training``."""
    return write_small_shards(tmp_path_factory.mktemp("small") / "shards")


@pytest.fixture(scope="session")
def small_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of ``small_training``."""
    folder = tmp_path_factory.mktemp("small") / "start"
    small_checkpoint().save(folder)
    return folder


@pytest.fixture
def small_options(small_shards: Path, small_start: Path, tmp_path: Path) -> Callable[..., TrainingOptions]:
    """Options of a small training in a folder of the test; arguments replace some."""
    return partial(options, small_shards, small_start, tmp_path / "out")
