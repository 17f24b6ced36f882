"""The moving average of the weights (EMA): what is validated, drawn from and exported."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """An exponential moving average of parameters, in float32: average = decay * average + (1 - decay) * parameter, from their first values on.

    Parameters that are not trained have no average: their value is it.

    Attributes:
        decay: see above.
        averages: by the parameters' names; sharded as they are.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float, network: nn.Module | None = None) -> None:
        """Begin with the parameters as they are.

        Args:
            parameters: those that are trained, by name.
            decay: 0..1.
            network: the module with these parameters; needed when FSDP2 shards them, since what it has gathered for a forward pass has to go when they are
                swapped.

        Raises:
            ValueError: a decay out of range, parameters that are not float32, or sharded ones without their network.
        """
        if not 0.0 < decay < 1.0:
            raise ValueError(f"the decay of a moving average lies between 0 and 1, not at {decay}")
        if other := [f"{name} {parameter.dtype}" for name, parameter in parameters.items() if parameter.dtype != torch.float32]:
            raise ValueError(f"parameters that are averaged are float32: in fewer digits, steps of 1 - decay would round to nothing; not so are {other[:3]}")
        if network is None and any(isinstance(parameter, DTensor) for parameter in parameters.values()):
            raise ValueError("the average of sharded parameters needs the network that they are of")
        self.decay = decay
        self._parameters, self._network, self._swapped = dict(parameters), network, False
        self.averages: dict[str, Tensor] = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self._follow = get_ema_multi_avg_fn(decay)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are after a step."""
        self._refuse_while_swapped()
        self._follow(_local(self.averages), _local(self._parameters), 0)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Inside, the parameters are their averages, and the averages hold the parameters; behind it, every bit is back in its place."""
        self._refuse_while_swapped()
        self._exchange()
        self._swapped = True
        try:
            yield
        finally:
            self._exchange()
            self._swapped = False

    def state_dict(self) -> dict[str, Tensor]:
        """The averages themselves, not copies: what is loaded into them is loaded."""
        self._refuse_while_swapped()
        return dict(self.averages)

    @torch.no_grad()
    def _exchange(self) -> None:
        self._forget_gathered()
        for average, parameter in zip(_local(self.averages), _local(self._parameters), strict=True):
            before = parameter.clone()
            parameter.copy_(average)
            average.copy_(before)

    def _forget_gathered(self) -> None:
        """After a forward pass without a backward pass, FSDP2 keeps the outermost weights gathered, and would compute with what they were."""
        for module in () if self._network is None else self._network.modules():
            if isinstance(module, FSDPModule):
                module.reshard()

    def _refuse_while_swapped(self) -> None:
        if self._swapped:
            raise RuntimeError("the averages are swapped in: they are not theirs until the block is left")


def _local(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """Shards of this rank, which share their memory with the tensors: an average needs nothing from other ranks."""
    return [tensor.to_local() if isinstance(tensor, DTensor) else tensor.detach() for tensor in tensors.values()]
