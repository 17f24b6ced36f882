"""Rates of devices: those of data sheets by name, and those of a product by a clock."""

from collections.abc import Iterator

import pytest
import torch

from model import device_peak
from model.device_peak import measured_flops, peak_flops


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4e12),
        ("NVIDIA H200", 989.4e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A100-PCIE-40GB", 312e12),
        ("NVIDIA A100 80GB PCIe", 312e12),
        ("A100-SXM4-40GB", 312e12),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H100 NVL", None),
        ("NVIDIA H200 NVL", None),
        ("NVIDIA GH200 480GB", None),
        ("NVIDIA RTX A1000", None),
        ("cpu", None),
        ("", None),
    ],
)
def test_cards_are_known_by_their_whole_names(name: str, rate: float | None) -> None:
    assert peak_flops(name, torch.bfloat16) == peak_flops(name, torch.float16) == rate
    assert peak_flops(name, torch.float32) is peak_flops(name, torch.float64) is None


class Clock:
    """Every product takes the next of these seconds, and whatever is between two of them an hour."""

    def __init__(self, durations: list[float]) -> None:
        self.times = self._times(durations)
        self.products = 0

    def _times(self, durations: list[float]) -> Iterator[float]:
        now = 0.0
        for duration in durations:
            now += 3600
            yield now
            now += duration
            self.products += 1
            yield now

    def __call__(self) -> float:
        return next(self.times)


@pytest.mark.parametrize(
    ("durations", "seconds", "repeats", "best"),
    [
        ([0.5, 0.25, 0.125, 0.5, 9.0], 1.0, 4, 0.125),
        ([0.5, 0.25], 0.5, 1, 0.5),
        ([2.0, 1.0], 0.3, 1, 2.0),
        ([2.0, 1.0], 0.0, 1, 2.0),
    ],
    ids=["the best counts", "until the time is up", "one is longer", "one at least"],
)
def test_operations_of_the_best_product_count(monkeypatch: pytest.MonkeyPatch, durations: list[float], seconds: float, repeats: int, best: float) -> None:
    clock = Clock(durations)
    monkeypatch.setattr(device_peak, "perf_counter", clock)
    monkeypatch.setattr(device_peak, "SIDES", {"cpu": 8})
    assert measured_flops("cpu", torch.float32, seconds) == 8 * 8 * (8 + 8) / best  # 64 sums of 8 products
    assert clock.products == repeats


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_this_device_has_a_rate(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    monkeypatch.setattr(device_peak, "SIDES", {"cpu": 64})
    before = torch.random.get_rng_state()
    assert 0 < measured_flops(torch.device("cpu"), dtype, 0.001) < float("inf")
    assert torch.equal(torch.random.get_rng_state(), before)
