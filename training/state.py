"""What a checkpoint holds: everything that the next step depends on, in a form that another number of ranks, sharded or not, can take up."""

import pickle
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict, get_optimizer_state_dict, set_model_state_dict, set_optimizer_state_dict
from torch.optim import AdamW
from torch.optim.lr_scheduler import LRScheduler

from training.checkpoint_folder import PROGRESS
from training.ema import MovingAverage
from training.processes import Processes


class TrainingState:
    """The parts of a running training, as one nested dictionary and back.

        model       weights, frozen ones too, and buffers, by name: the same names with FSDP2, DDP, torch.compile and without
        average     of the trained weights
        optimizer   by the weights' names
        schedule    of the learning rate
        random      states of the random number generators of each rank; ranks that are added keep their own
        progress    step, position … : plain numbers

    Tensors are the live ones, not copies: what is read into them is in the network.
    """

    def __init__(self, network: nn.Module, optimizer: AdamW, schedule: LRScheduler, average: MovingAverage | None, processes: Processes) -> None:
        """Of these; ``average`` is None when none is kept. The network may be wrapped."""
        self._network, self._optimizer, self._schedule, self._average, self._processes = network, optimizer, schedule, average, processes

    def capture(self, progress: Mapping[str, int]) -> dict[str, Any]:
        """What to save; all ranks together, between two steps."""
        _begin(self._optimizer)
        state = {
            "model": get_model_state_dict(self._network),
            "optimizer": get_optimizer_state_dict(self._network, self._optimizer),
            "schedule": self._schedule.state_dict(),
            "random": pickle.dumps(self._processes.gather(_random_state(self._processes.device))),  # as one value: its length is not that of another run
            PROGRESS: dict(progress),
        }
        return state if self._average is None else {**state, "average": self._average.state_dict()}

    def restore(self, state: dict[str, Any]) -> dict[str, int]:
        """Take up what ``Checkpoints.load`` read into a captured state; its progress."""
        set_model_state_dict(self._network, state["model"])
        set_optimizer_state_dict(self._network, self._optimizer, state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        states = pickle.loads(state["random"])
        if self._processes.rank < len(states):
            _set_random_state(states[self._processes.rank], self._processes.device)
        progress: dict[str, int] = state[PROGRESS]
        return progress


@torch.no_grad()
def _begin(optimizer: AdamW) -> None:
    """Give weights that had no gradient yet the state that AdamW would begin with, so that what a checkpoint holds does not depend on which had one.

    Torch would take a step of rate 0 to make these states, which counts as a step.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not optimizer.state[parameter]:
                on_device = group["capturable"] or group["fused"]
                optimizer.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device if on_device else "cpu"),
                    "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                    "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                }


def _random_state(device: torch.device) -> dict[str, Any]:
    on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state(), "cuda": on_gpu}


def _set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], device)
