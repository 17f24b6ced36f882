"""Where networks compute: on what the machine or the cluster has, by its own word (Ray counts GPUs that are declared, not those that exist)."""

import pytest

from jobs import placement
from jobs.engine import EngineOptions, SetupError
from jobs.placement import place

HERE, THERE = EngineOptions(engine="local"), EngineOptions(engine="ray")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> float:
    count: float = request.param
    monkeypatch.setattr(placement, "_gpus_here", lambda: int(count))
    monkeypatch.setattr(placement, "_gpus_of_cluster", lambda _: count)
    return count


@pytest.mark.parametrize("gpus", [4], indirect=True)
def test_gpus_are_taken_where_there_are_some(gpus: float) -> None:
    assert place(HERE, "auto", 9) == (HERE, "cuda")
    assert place(THERE, "auto", 9) == (EngineOptions(engine="ray", gpus_per_worker=1.0), "cuda")
    half = EngineOptions(engine="ray", gpus_per_worker=0.5)
    assert place(half, "cuda", int(gpus)) == (half, "cuda")


@pytest.mark.parametrize("gpus", [0, 4], indirect=True)
def test_who_asks_for_cpus_gets_them(gpus: float) -> None:
    del gpus
    assert place(THERE, "cpu", 9) == (THERE, "cpu")


@pytest.mark.parametrize("gpus", [0], indirect=True)
def test_without_gpus(gpus: float) -> None:
    del gpus
    for engine in (HERE, THERE):
        assert place(engine, "auto", 9) == (engine, "cpu")
        with pytest.raises(SetupError, match=r"has no GPU; take --device cpu, or for a cluster that grows say --engine\.gpus-per-worker 1"):
            place(engine, "cuda", 9)
    grows = EngineOptions(engine="ray", gpus_per_worker=1.0)
    assert place(grows, "auto", 9) == (grows, "cuda")
    with pytest.raises(SetupError, match="this machine has no GPU"):
        place(EngineOptions(engine="local", gpus_per_worker=1.0), "auto", 9)
