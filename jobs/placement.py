"""Where networks compute: on GPUs, a worker on each, where there are some, else on CPUs."""

from dataclasses import replace
from typing import Literal

from jobs.engine import EngineOptions, SetupError, chosen_engine

Device = Literal["auto", "cpu", "cuda"]


def place(engine: EngineOptions, device: Device, units: int) -> tuple[EngineOptions, Literal["cpu", "cuda"]]:
    """Engine and device for work whose networks can compute on a GPU.

    Args:
        engine: as asked for. Workers that compute on GPUs ask Ray for one each, if nothing else was asked for.
        device: as asked for; auto takes GPUs where there are some.
        units: how many there are.

    Raises:
        SetupError: a GPU was asked for and there is none, or the cluster cannot be joined.
    """
    if device == "cpu":
        return engine, "cpu"
    here = chosen_engine(engine, units) == "local"
    per_worker = engine.gpus_per_worker or 1.0
    enough = _gpus_here() > 0 if here else _gpus_of_cluster(engine) >= per_worker
    if enough:
        return engine if here else replace(engine, gpus_per_worker=per_worker), "cuda"
    if device == "auto" and not engine.gpus_per_worker:
        return engine, "cpu"
    if engine.gpus_per_worker and not here:  # a cluster may grow when asked
        return engine, "cuda"
    where = "this machine" if here else "the cluster"
    raise SetupError(f"--device {device}: {where} has no GPU; take --device cpu, or for a cluster that grows say --engine.gpus-per-worker 1")


def _gpus_here() -> int:
    try:
        import torch
    except ImportError:  # said when the networks are loaded
        return 0
    return torch.cuda.device_count()


def _gpus_of_cluster(engine: EngineOptions) -> float:
    from jobs.ray_engine import cluster_gpus

    return cluster_gpus(engine)
