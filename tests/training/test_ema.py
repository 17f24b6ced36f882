"""The moving average: its numbers, and that swapping it in changes nothing afterwards."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tests.training.on_ranks import on_ranks
from training.ema import MovingAverage
from training.processes import Processes

DECAY = 0.9


def parameters() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"weight": nn.Parameter(torch.randn(3, 4, generator=generator)), "bias": nn.Parameter(torch.randn(3, generator=generator))}


def test_it_is_the_exponential_average_of_all_values() -> None:
    tensors = parameters()
    average = MovingAverage(tensors, DECAY)
    expected = {name: tensor.detach().double().numpy() for name, tensor in tensors.items()}
    for step in range(20):
        with torch.no_grad():
            for tensor in tensors.values():
                tensor.mul_(0.8).add_(step)
        average.update()
        expected = {name: DECAY * value + (1 - DECAY) * tensors[name].detach().double().numpy() for name, value in expected.items()}
    for name, value in average.state_dict().items():
        np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-6)


def test_swapped_in_and_back_every_bit_is_in_its_place() -> None:
    tensors = parameters()
    average = MovingAverage(tensors, DECAY)
    with torch.no_grad():
        tensors["bias"].add_(1 / 3)
    average.update()
    raw, averaged = ({name: tensor.detach().clone() for name, tensor in each.items()} for each in (tensors, average.averages))
    with pytest.raises(KeyError), average.swapped_in():  # noqa: PT012
        assert all(torch.equal(tensors[name], averaged[name]) for name in tensors)
        assert not torch.equal(tensors["bias"], raw["bias"])
        raise KeyError
    assert all(torch.equal(tensors[name], raw[name]) and torch.equal(average.averages[name], averaged[name]) for name in tensors)


def test_while_it_is_swapped_in_it_neither_follows_nor_is_saved() -> None:
    average = MovingAverage(parameters(), DECAY)
    with average.swapped_in():
        for forbidden in (average.update, average.state_dict, average.swapped_in().__enter__):
            with pytest.raises(RuntimeError, match="swapped in"):
                forbidden()


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, 1.5])
def test_a_decay_out_of_range(decay: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        MovingAverage(parameters(), decay)


def test_few_digits_would_stand_still() -> None:
    with pytest.raises(ValueError, match=r"float32.*weight torch\.bfloat16"):
        MovingAverage({"weight": nn.Parameter(torch.ones(2, dtype=torch.bfloat16))}, DECAY)


def test_sharded_it_is_the_same_and_validation_leaves_no_trace() -> None:
    expected = trained(None, look=False)
    for found in on_ranks(2, sharded):
        assert found.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6)


def sharded() -> dict[str, Tensor]:
    with Processes.start("cpu") as processes:
        with pytest.raises(ValueError, match="needs the network"):
            MovingAverage(dict(network(processes).named_parameters()), DECAY)
        return trained(processes, look=True)


def network(processes: Processes | None) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))  # 5 and 3 rows do not divide by 2
    if processes is not None:
        mesh = init_device_mesh("cpu", (processes.ranks,))
        fully_shard(made[0], mesh=mesh)
        fully_shard(made, mesh=mesh)
    return made


def trained(processes: Processes | None, look: bool) -> dict[str, Tensor]:
    """Averages, weights and losses after some steps, each followed by a look at the averaged network."""
    made = network(processes)
    named = dict(made.named_parameters())
    average = MovingAverage(named, DECAY, made)
    optimizer = torch.optim.SGD(named.values(), lr=0.3)
    inputs, losses = torch.linspace(-1, 1, 8).reshape(2, 4), []
    for _ in range(4):
        loss = made(inputs).square().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update()
        losses.append(loss.detach())
        if look:
            with average.swapped_in(), torch.no_grad():
                assert not torch.equal(made(inputs).square().sum(), loss)
    states = {f"average {name}": tensor for name, tensor in average.state_dict().items()} | {f"raw {name}": tensor.detach() for name, tensor in named.items()}
    return {name: whole(tensor) for name, tensor in states.items()} | {"losses": torch.stack(losses)}


def whole(tensor: Tensor) -> Tensor:
    full: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.clone()
