"""Ranks that need no process group."""

from collections.abc import Sequence
from typing import Any

import torch


class Alone:
    """The one rank of a training, or one of several of which the others' answers are known."""

    def __init__(self, rank: int = 0, ranks: int = 1, others: Sequence[Any] = ()) -> None:
        self.rank, self.ranks, self.main, self.device, self.control = rank, ranks, rank == 0, torch.device("cpu"), None
        self.gathered: list[Any] = []
        self._others = others

    def gather(self, value: Any) -> list[Any]:
        self.gathered.append(value)
        return [value, *self._others]
