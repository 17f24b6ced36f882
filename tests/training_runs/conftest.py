"""One set of shards and one checkpoint for all trainings."""

import pytest
import torch

from tests.training_runs.made_training import Made, write_all

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return write_all(tmp_path_factory.mktemp("made"))
