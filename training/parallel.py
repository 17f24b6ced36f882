"""Parallelism, applied to the network from outside: it does not know of it.

The order matters, as in torchtitan: gradient checkpointing inside, then compilation of each block, then sharding around it.
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from training.errors import TrainingError
from training.network import TrainedNetwork
from training.options import ParallelOptions, Strategy
from training.processes import Processes

KERNELS = 64
"""Versions of a compiled block, at most: with anchors and without, of padded ones or not, of one sample or several, for training and validation. Torch's own
limit is less than there are, and beyond it a block is no longer compiled."""


def parallelise(network: TrainedNetwork, options: ParallelOptions, processes: Processes) -> nn.Module:
    """The network as the loop calls it; the parameters stay reachable under their own names through ``network``.

    Weights are float32 whatever the precision, and are converted where they are multiplied (``precise``). FSDP2 gathers them in float32, too: it could do so in
    bfloat16, half the bytes, but would convert norms and tables of modulation as well, which Wan keeps exact.

    Args:
        network: on the device, frozen where it is to be.
        options: how.
        processes: who takes part.

    Raises:
        TrainingError: several ranks and no strategy for them.
    """
    strategy = strategy_of(options, processes.ranks)
    _keep_time_exact(network, processes.device)
    if options.gradient_checkpointing:
        network.transformer.enable_gradient_checkpointing()
    if options.compile:
        torch._dynamo.config.recompile_limit = KERNELS
        for block in network.transformer.blocks:
            block.compile()
    if strategy == "fsdp":
        _shard(network, processes)
        return network
    if strategy == "ddp":
        return DistributedDataParallel(network, device_ids=None if processes.device.type == "cpu" else [processes.device.index])
    return network


def strategy_of(options: ParallelOptions, ranks: int) -> Strategy:
    """What ``auto`` stands for, else what was asked for.

    Raises:
        TrainingError: several ranks and no strategy for them.
    """
    if options.strategy == "none" and ranks > 1:
        raise TrainingError(f"--parallel.strategy none is for one rank, and there are {ranks}; take fsdp or ddp")
    if options.strategy == "auto":
        return "fsdp" if ranks > 1 else "none"
    return options.strategy


def precision_of(options: ParallelOptions, device: torch.device) -> torch.dtype:
    """Of matrix products."""
    if options.precision == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[options.precision]


def precise(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Where matrix products are of this type, and norms, sums and losses of float32.

    Converted weights are not kept for a second use, of which there is none: they would be there of all layers at once, which FSDP2 avoids.
    """
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype, cache_enabled=False)


@contextmanager
def gradients_summed_later(network: nn.Module, later: bool) -> Iterator[None]:
    """While micro-batches are accumulated, DDP need not exchange gradients. FSDP2 does every time: what it would keep is a whole gradient per rank."""
    with network.no_sync() if later and isinstance(network, DistributedDataParallel) else nullcontext():
        yield


def _audio_layers(transformer: nn.Module) -> list[nn.Module]:
    """None in a network that hears nothing."""
    layers = getattr(transformer, "audio_attention", None)
    return [] if layers is None else list(layers.values())


def _keep_time_exact(network: TrainedNetwork, device: torch.device) -> None:
    """The embedding of the timestep stays in float32, as in Wan: bfloat16 does not tell 937 from 936."""
    embedder = network.transformer.condition_embedder.time_embedder
    embedder.forward = torch.autocast(device.type, enabled=False)(embedder.forward)


def _shard(network: TrainedNetwork, processes: Processes) -> None:
    warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module .* returned a view tensor")  # of what is changed in place, and nothing is
    mesh = init_device_mesh(processes.device.type, (processes.ranks,))
    transformer = network.transformer
    for block in [*transformer.blocks, *_audio_layers(transformer)]:
        fully_shard(block, mesh=mesh)
    fully_shard(transformer, mesh=mesh)  # not the whole network: sampling calls the transformer alone
    if network.text_encoder is not None:
        fully_shard(network.text_encoder, mesh=mesh)
