"""How many operations per second a device can do at most: what its maker says, or what it does with one large matrix product.

The share of it that a step uses tells what the rest of the program costs. An operation is a multiplication or an addition, as in ``model.flops``.
"""

import re
from time import perf_counter

import torch

DENSE_BF16: tuple[tuple[str, float], ...] = (
    # NVIDIA H100 data sheet, H100 SXM: 1,979 with sparsity, twice the dense rate; 528 tensor cores x 1,024 operations x 1.83 GHz. PCIe and NVL are other cards.
    (r"NVIDIA H100 80GB HBM3", 989.4e12),
    # NVIDIA H200 data sheet, H200 SXM: the same. H200 NVL is another card.
    (r"NVIDIA H200", 989.4e12),
    # NVIDIA A100 data sheet, SXM and PCIe, 40 and 80 GB alike.
    (r"(NVIDIA )?A100[- ].*", 312e12),
)
"""Operations per second of the tensor cores without sparsity, by the whole name of the card. Half precision (float16) has the same rates there."""

SIDES = {"cpu": 1024}
"""Rows and columns of the product that is measured: some hundredths of a second on one core."""

SIDE = 8192
"""The same on other devices: a millisecond or two on a large card, beside which starting it and waiting for it count for nothing."""


def peak_flops(device_name: str, dtype: torch.dtype) -> float | None:
    """What the maker's data sheet says.

    Args:
        device_name: as ``torch.cuda.get_device_name`` gives it.
        dtype: of both factors of a product.

    Returns:
        Operations per second; None for devices and types that are not in the table: measure them (``measured_flops``).
    """
    if dtype not in {torch.bfloat16, torch.float16}:
        return None
    return next((rate for name, rate in DENSE_BF16 if re.fullmatch(name, device_name)), None)


@torch.no_grad()
def measured_flops(device: torch.device | str, dtype: torch.dtype, seconds: float = 0.3) -> float:
    """What a large square matrix product reaches, the best of as many as fit into the time, at least one: others may be at work on the machine.

    Args:
        device: where to multiply. On a CPU with as many threads as torch has.
        dtype: of both factors.
        seconds: for how long to repeat it, after one that warms up.

    Returns:
        Operations per second. In float32 on a GPU with what ``torch.backends.cuda.matmul`` allows.
    """
    device = torch.device(device)
    side = SIDES.get(device.type, SIDE)
    generator = torch.Generator(device).manual_seed(0)  # its own, for who trains draws the same numbers with this and without
    # numbers that differ: a card that multiplies zeros needs less power and is faster
    left, right = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    product = torch.mm(left, right)
    best, spent = float("inf"), 0.0
    while best == float("inf") or spent < seconds:
        _finish(device)
        start = perf_counter()
        torch.mm(left, right, out=product)
        _finish(device)
        took = perf_counter() - start
        best, spent = min(best, took), spent + took
    return 2 * side**3 / best


def _finish(device: torch.device) -> None:
    """Wait for what the device was told to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
