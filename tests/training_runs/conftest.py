"""One set of shards and one checkpoint for all trainings."""

from pathlib import Path

import pytest
import torch

from tests.training_runs.made_training import Made, write_all, write_latents

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return write_all(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def latents(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards with latents beside the pixels."""
    return write_latents(tmp_path_factory.mktemp("latents") / "out", made)
