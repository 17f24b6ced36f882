"""One thread: what is tested is small, and the same numbers come out on any machine."""

from collections.abc import Iterator

import pytest
import torch

from training.processes import Processes

torch.set_num_threads(1)


@pytest.fixture
def alone() -> Iterator[Processes]:
    """The only rank of a training."""
    with Processes.start("cpu") as processes:
        yield processes
