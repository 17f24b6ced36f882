"""The processes of a training: one per device, started by torchrun, or a single one started by hand."""

import os
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist

from training.errors import TrainingError

LONGEST_WRITE = timedelta(hours=6)
"""How long the ranks wait for one another while a checkpoint is written, which on a slow disk takes longer than torch would wait by itself."""

Value = TypeVar("Value")


class Processes:
    """The ranks of a training, this one among them. There is always a process group, so that nothing else has to ask whether there is one.

    Attributes:
        rank, ranks: this process among all, 0 first.
        local_rank: this process among those of its machine.
        device: where it computes.
        control: group of all ranks over gloo, for the small things that the main thread agrees on.
        writing: group of all ranks over gloo, for the thread that writes checkpoints: two threads in one group would answer one another's questions.
    """

    def __init__(self, device: torch.device, local_rank: int) -> None:
        """Of a process group that is there; ``start`` makes one."""
        self.device, self.local_rank = device, local_rank
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        self.control = dist.new_group(backend="gloo")
        self.writing = dist.new_group(backend="gloo", timeout=LONGEST_WRITE)

    @classmethod
    def start(cls, device: str = "auto") -> Self:
        """Join the other ranks that torchrun started, or be the only one.

        Args:
            device: cpu, cuda, or auto: a GPU where there is one.

        Raises:
            TrainingError: no such device, or fewer GPUs than processes on this machine.
        """
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        chosen = _device(device, local_rank)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        backend = "gloo" if chosen.type == "cpu" else "cpu:gloo,cuda:nccl"
        if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
            dist.init_process_group(backend)
        else:
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
        return cls(chosen, local_rank)

    @property
    def main(self) -> bool:
        """Whether this is the rank that writes and tells."""
        return self.rank == 0

    def any(self, here: bool) -> bool:
        """Whether it is so on any rank. All ranks have to ask."""
        return bool(self._sum(here) > 0)

    def all(self, here: bool) -> bool:
        """Whether it is so on every rank. All ranks have to ask."""
        return bool(self._sum(here) == self.ranks)

    def from_main(self, value: Value | None) -> Value:
        """What rank 0 gave; all ranks have to ask."""
        shared: list[Any] = [value]
        dist.broadcast_object_list(shared, src=0, group=self.control)
        return shared[0]

    def gather(self, value: Value) -> Sequence[Value]:
        """What each rank gave, in their order; all ranks have to ask."""
        gathered: list[Any] = [None] * self.ranks
        dist.all_gather_object(gathered, value, group=self.control)
        return gathered

    def close(self) -> None:
        """Leave the process group."""
        dist.destroy_process_group()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None or self.ranks == 1:  # otherwise the others may not come, and NCCL would wait for them; torchrun ends them
            self.close()

    def _sum(self, here: bool) -> int:
        votes = torch.tensor(int(here))
        dist.all_reduce(votes, group=self.control)
        return int(votes.item())


def _device(name: str, local_rank: int) -> torch.device:
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name not in {"auto", "cuda"}:
        raise TrainingError(f"there is no device {name}; take cpu, cuda or auto")
    if not torch.cuda.is_available():
        raise TrainingError("--parallel.device cuda: torch sees no GPU on this machine; take cpu, or install a torch that is built for the GPU's driver")
    if local_rank >= (count := torch.cuda.device_count()):
        raise TrainingError(f"process {local_rank} of this machine has no GPU, there are {count}; start at most {count} (torchrun --nproc-per-node {count})")
    return torch.device("cuda", local_rank)
