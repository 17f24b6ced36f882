"""How the network is wrapped. That nothing but rounding changes by it is tested on whole trainings (tests/training_runs)."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tests.training.held_out import sample
from tests.training.on_ranks import on_ranks
from tests.training.small_training import small_checkpoint
from training.conditioning import Conditioner, TrainingBatch
from training.errors import TrainingError
from training.loss import velocity_losses
from training.network import TrainedNetwork
from training.options import ParallelOptions
from training.parallel import gradients_summed_later, parallelise, precise, precision_of, strategy_of
from training.processes import Processes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def batch() -> TrainingBatch:
    return Conditioner(small_checkpoint(), "cpu")([sample("a", 1), sample("b", 2, anchors=0)])


@pytest.fixture
def network() -> Iterator[TrainedNetwork]:
    yield TrainedNetwork.of(small_checkpoint())
    torch._dynamo.reset()


def test_auto_is_fsdp_where_there_are_several() -> None:
    assert strategy_of(ParallelOptions(), 1) == "none"
    assert strategy_of(ParallelOptions(), 2) == "fsdp"
    assert strategy_of(ParallelOptions("ddp"), 2) == "ddp"
    assert strategy_of(ParallelOptions("none"), 1) == "none"
    with pytest.raises(TrainingError, match=r"--parallel\.strategy none is for one rank, and there are 2"):
        strategy_of(ParallelOptions("none"), 2)


def test_auto_is_bfloat16_on_a_gpu_alone() -> None:
    assert precision_of(ParallelOptions(), CPU) == torch.float32
    assert precision_of(ParallelOptions(), torch.device("cuda")) == torch.bfloat16
    assert precision_of(ParallelOptions(precision="bfloat16"), CPU) == torch.bfloat16
    assert precision_of(ParallelOptions(precision="float32"), torch.device("cuda")) == torch.float32


def test_products_are_precise_as_asked() -> None:
    factor = torch.ones(2, 2)
    with precise(torch.bfloat16, CPU):
        assert (factor @ factor).dtype == torch.bfloat16
    with precise(torch.float32, CPU):
        assert (factor @ factor).dtype == torch.float32


def test_time_stays_exact_among_coarser_numbers(network: TrainedNetwork, alone: Processes) -> None:
    embedder, projected = network.transformer.condition_embedder.time_embedder, torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    truth = embedder(projected)
    parallelise(network, ParallelOptions(), alone)
    with precise(torch.bfloat16, CPU):
        assert torch.equal(embedder(projected), truth)


@pytest.mark.parametrize("strategy", ["none", "ddp", "fsdp"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_losses_and_gradients_are_those_of_the_network(
    network: TrainedNetwork, alone: Processes, batch: TrainingBatch, strategy: Any, checkpointing: bool
) -> None:
    plain = TrainedNetwork.of(small_checkpoint())
    names = [name for name, _ in network.named_parameters()]
    losses = velocity_losses(plain, batch)
    losses.sum().backward()
    model = parallelise(network, ParallelOptions(strategy, gradient_checkpointing=checkpointing), alone)
    found = velocity_losses(model, batch)
    found.sum().backward()
    assert torch.allclose(found, losses, rtol=1e-6)
    assert [name for name, _ in network.named_parameters()] == names
    assert isinstance(model, DistributedDataParallel) == (strategy == "ddp")
    assert all(isinstance(parameter, DTensor) == (strategy == "fsdp") for parameter in network.parameters())
    for name, parameter in network.named_parameters():
        gradient, truth = parameter.grad, plain.get_parameter(name).grad
        assert (gradient is None) == (truth is None)
        if gradient is not None and truth is not None:
            assert torch.allclose(gradient.full_tensor() if isinstance(gradient, DTensor) else gradient, truth, rtol=1e-4, atol=1e-6), name


def in_bfloat16(strategy: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses and gradients of a network of which nothing is a power of two, on each rank of the same samples; and what its layers compute with."""
    with Processes.start("cpu") as processes:
        network = TrainedNetwork.of(small_checkpoint())
        scatter(network)
        model = parallelise(network, ParallelOptions(strategy, precision="bfloat16"), processes)
        batch = Conditioner(small_checkpoint(), "cpu")([sample("a", 1), sample("b", 2, anchors=0)])
        with precise(torch.bfloat16, CPU):
            losses = velocity_losses(model, batch)
        losses.sum().backward()
        gradients = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.grad is not None}
        assert {parameter.dtype for parameter in network.parameters()} == {gradient.dtype for gradient in gradients.values()} == {torch.float32}
        return losses.detach(), {name: gradient.full_tensor() if isinstance(gradient, DTensor) else gradient for name, gradient in gradients.items()}


@torch.no_grad()
def scatter(network: nn.Module) -> None:
    """As after a training: norms begin at one, which any precision has exactly."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.mul_(1 + 0.2 * torch.rand(parameter.shape, generator=generator))


def test_bfloat16_of_two_sharded_ranks_is_that_of_copies_and_of_one_rank() -> None:
    """Norms and tables of modulation are float32 on all of them. Sharding adds up some gradients in another order, which bfloat16 rounds otherwise."""
    truth, gradients = in_bfloat16("none")
    for strategy in ("ddp", "fsdp"):
        for losses, found in on_ranks(2, in_bfloat16, strategy):
            assert torch.allclose(losses, truth, rtol=1e-6), strategy
            assert found.keys() == gradients.keys()
            for name, gradient in found.items():
                assert (gradient - gradients[name]).norm() <= 5e-3 * gradients[name].norm(), (strategy, name)


def test_ddp_waits_with_the_exchange_until_the_last_micro_batch(network: TrainedNetwork, alone: Processes) -> None:
    model = parallelise(network, ParallelOptions("ddp"), alone)
    assert isinstance(model, DistributedDataParallel)
    exchanged = []
    for later in (True, False):
        with gradients_summed_later(model, later):
            exchanged.append(model.require_backward_grad_sync)
    assert exchanged == [False, True]
    with gradients_summed_later(network, later=True):
        pass


def test_blocks_are_compiled_each(network: TrainedNetwork, alone: Processes) -> None:
    parallelise(network, ParallelOptions(compile=True), alone)
    assert all(block._compiled_call_impl is not None for block in network.transformer.blocks)
    assert network.transformer._compiled_call_impl is None
