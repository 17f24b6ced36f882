"""How the network is wrapped. That nothing but rounding changes by it is tested on whole trainings (tests/training_runs)."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from tests.training.held_out import sample
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


def test_sharded_weights_are_gathered_in_bfloat16_and_stay_float32(network: TrainedNetwork, alone: Processes, batch: TrainingBatch) -> None:
    model = parallelise(network, ParallelOptions("fsdp", precision="bfloat16"), alone)
    seen: set[object] = set()
    for block in network.transformer.blocks:
        assert isinstance(block.ffn, nn.Module)
        block.ffn.register_forward_hook(lambda module, *_: seen.update(parameter.dtype for parameter in module.parameters()))
    time = network.transformer.condition_embedder.time_embedder
    time.register_forward_hook(lambda module, *_: seen.update(f"time {parameter.dtype}" for parameter in module.parameters()))
    with precise(torch.bfloat16, CPU):
        velocity_losses(model, batch).sum().backward()
    assert seen == {torch.bfloat16, "time torch.float32"}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert {parameter.grad.dtype for parameter in network.parameters() if parameter.grad is not None} == {torch.float32}


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
