"""Ranks: one alone without an environment, several as torchrun starts them, agreeing on small things."""

import pytest
import torch
import torch.distributed as dist

from tests.training.on_ranks import on_ranks
from training.errors import TrainingError
from training.processes import Processes


def test_alone_there_is_a_process_group_too(alone: Processes) -> None:
    assert (alone.rank, alone.ranks, alone.local_rank, alone.main, alone.device) == (0, 1, 0, True, torch.device("cpu"))
    assert dist.is_initialized()
    assert [alone.any(True), alone.any(False), alone.all(True), alone.all(False)] == [True, False, True, False]
    assert alone.from_main("word") == "word"
    assert alone.gather(3) == [3]


def test_leaving_closes_the_group_so_that_it_can_be_made_again() -> None:
    for _ in range(2):
        with pytest.raises(KeyError), Processes.start("cpu"):
            raise KeyError
        assert not dist.is_initialized()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    assert Processes.start("auto").device == torch.device("cpu")
    dist.destroy_process_group()
    with pytest.raises(TrainingError, match="sees no GPU"):
        Processes.start("cuda")


def test_a_device_that_does_not_exist() -> None:
    with pytest.raises(TrainingError, match="there is no device tpu; take cpu, cuda or auto"):
        Processes.start("tpu")


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(TrainingError, match="process 2 of this machine has no GPU, there are 2; start at most 2"):
        Processes.start("auto")


def test_several_ranks_agree() -> None:
    assert on_ranks(3, agree) == [([0, 1, 2], rank == 0, True, False, True, "from 0") for rank in range(3)]


def agree() -> tuple[object, ...]:
    with Processes.start("cpu") as processes:
        rank = processes.rank
        return (
            list(processes.gather(rank)),
            processes.main,
            processes.any(rank == 2),
            processes.all(rank == 2),
            processes.all(True),
            processes.from_main(f"from {rank}"),
        )
