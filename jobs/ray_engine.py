"""The engine's execution on Ray: a crew of actors, each with one unit in hand, or the few its work can have. See jobs.engine for why.

A worker that dies (a segmentation fault in a decoder, the out-of-memory killer, a lost node) is replaced and its unit started again,
up to a number of attempts. A worker that does not return in time is killed and replaced, its unit is not started again.
"""

import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import ray
from ray.exceptions import OutOfMemoryError, RayError

from jobs.engine import EngineOptions, Outcome, SetupError, Work, attempt, set_up
from pipeline.failures import InputError
from schemas.vocabulary import FailureKind

U = TypeVar("U")
R = TypeVar("R")

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")
"""Workers are as many as CPUs; libraries that each start a thread per CPU would make them wait for one another."""

QUIET = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "3"}
PASSED_ON = ("GLORIA_CACHE", "GLORIA_ASSETS")
"""Environment variables of the driver that its workers on other machines need as well."""

OBJECT_STORE_BYTES = 100 * 2**20
"""Of a cluster started here: results are a few numbers."""

LOOK_AGAIN_SECONDS = 10.0
"""How often the number of the cluster's CPUs is looked at."""

CLOSE_SECONDS = 10.0

REACH_SECONDS = 10.0
"""How long the machine at a cluster's address may take to answer; Ray itself tries for minutes before it gives up."""


class _Actor:
    """A worker process: the work and what its setup loaded."""

    def __init__(self, work: Work[Any, Any]) -> None:
        self._work = work

    def set_up(self) -> InputError | None:
        """See jobs.engine.set_up."""
        return set_up(self._work)

    def attempt(self, unit: Any) -> tuple[Any, InputError | None, float]:
        """See jobs.engine.attempt."""
        return attempt(self._work, unit)

    def close(self) -> None:
        """See Work.close."""
        self._work.close()


@dataclass(slots=True)
class _Try(Generic[U]):
    """A unit and how often it was started."""

    unit: U
    attempts: int = 0


@dataclass(slots=True, eq=False)
class _Worker:
    """An actor and the number of units it has in hand."""

    actor: Any
    in_hand: int = 0


@dataclass(frozen=True, slots=True)
class _Call(Generic[U]):
    """What a worker was asked: to do a unit, or (none) to set itself up."""

    worker: _Worker
    current: _Try[U] | None = None
    since: float = field(default_factory=time.monotonic)


def run_on_ray(work: Work[U, R], units: Iterable[U], options: EngineOptions) -> Iterator[Outcome[U, R]]:
    """Do the units on the workers of a cluster; see jobs.engine.run_units."""
    connect(options)
    crew = _Crew(work, units, options)
    try:
        yield from crew.run()
    except BaseException:
        crew.kill()
        raise
    else:
        crew.close()


def connect(options: EngineOptions) -> None:
    """Connect to the cluster whose address is known, or start one on this machine that ends with this process.

    Raises:
        SetupError: nothing answers at the address, or what answers is no cluster that this process can join.
    """
    if ray.is_initialized():
        return
    address = options.address or os.environ.get("RAY_ADDRESS")
    with _own_signals():
        _join(address) if address else _start(options)


def _start(options: EngineOptions) -> None:
    for name, value in (ONE_THREAD | QUIET | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}).items():
        os.environ.setdefault(name, value)
    cpus = max(os.cpu_count() or 1, math.ceil(options.workers * options.cpus_per_worker))
    try:
        ray.init(
            address="local", num_cpus=cpus, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
    except Exception as error:  # each part of Ray has its own errors
        raise SetupError(f"no Ray cluster could be started on this machine ({_first_line(error)}); --engine.engine local does without") from error


def _join(address: str) -> None:
    print(f"connecting to the Ray cluster at {address}", file=sys.stderr, flush=True)
    remedy = "check --engine.address or RAY_ADDRESS, and that this machine belongs to the cluster (or is named a ray:// address)"
    try:
        _reach(address)
        ray.init(address=address, runtime_env=_runtime_environment(), log_to_driver=True, logging_level=logging.WARNING)
    except Exception as error:  # each part of Ray has its own errors
        raise SetupError(f"no connection to the Ray cluster at {address} ({_first_line(error)}); {remedy}") from error


def _reach(address: str) -> None:
    """Raise OSError when nothing listens at an address of the form host:port; others, such as ``auto``, are left to Ray."""
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), REACH_SECONDS).close()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what this process does on SIGTERM: Ray would print a stack trace and abort."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def cluster_gpus(options: EngineOptions) -> float:
    """The GPUs of the cluster, as far as it has grown.

    Raises:
        SetupError: see ``connect``.
    """
    connect(options)
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return float(resources.get("GPU", 0.0))


def disconnect() -> None:
    """Leave the cluster; one that was started here ends."""
    ray.shutdown()


def _runtime_environment() -> dict[str, Any]:
    """What workers on other machines need: threads, variables and, unless a submitted job brought it along, the code."""
    variables = {name: os.environ.get(name, value) for name, value in (ONE_THREAD | QUIET).items()}
    variables |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return {"env_vars": variables}
    root = Path(__file__).resolve().parent.parent
    return {"env_vars": variables, "py_modules": [str(root / name) for name in ("jobs", "pipeline", "model", "schemas")]}


class _Crew(Generic[U, R]):
    """The workers and the units that wait for them."""

    def __init__(self, work: Work[U, R], units: Iterable[U], options: EngineOptions) -> None:
        self._work = ray.put(work)
        self._name = work.name
        self._at_once = work.units_at_once
        # Work that waits for others knows for itself how long; ending one unit would end those beside it.
        self._limit_seconds = options.timeout_minutes * 60 if work.units_at_once == 1 else 0.0
        self._source = iter(units)
        self._options = options
        self._actor: Any = ray.remote(_Actor).options(
            num_cpus=options.cpus_per_worker, num_gpus=options.gpus_per_worker, scheduling_strategy="SPREAD", max_concurrency=work.units_at_once
        )
        self._waiting: deque[_Try[U]] = deque()
        self._calls: dict[Any, _Call[U]] = {}
        self._ready: list[_Worker] = []
        self._limit, self._looked = 0, -math.inf
        self._setup_deaths = 0

    def run(self) -> Iterator[Outcome[U, R]]:
        """Keep every worker busy until all units are done."""
        while True:
            self._take_units()
            self._give_units()
            self._hire()
            if not self._waiting and not any(call.current for call in self._calls.values()):
                return
            ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=self._patience())
            for reference in ready:
                yield from self._returned(reference, self._calls.pop(reference))
            yield from self._overdue()

    def close(self) -> None:
        """Let every worker close its models, then end it. One that is still in its setup has nothing to close."""
        set_up, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0) if self._calls else ([], [])
        closing = [worker.actor.close.remote() for worker in [*self._ready, *(self._calls[reference].worker for reference in set_up)]]
        if closing:
            ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End every worker at once."""
        for worker in {*self._ready, *(call.worker for call in self._calls.values())}:
            ray.kill(worker.actor)
        self._ready, self._calls = [], {}

    def _take_units(self) -> None:
        """Keep as many units at hand as there may be workers."""
        if time.monotonic() - self._looked > LOOK_AGAIN_SECONDS:
            self._limit, self._looked = _most_workers(self._options), time.monotonic()
        while len(self._waiting) < self._limit * self._at_once:
            try:
                self._waiting.append(_Try(next(self._source)))
            except StopIteration:
                return

    def _give_units(self) -> None:
        """Give units to whoever has the fewest in hand."""
        while self._waiting and (free := [worker for worker in self._ready if worker.in_hand < self._at_once]):
            worker, next_try = min(free, key=lambda worker: worker.in_hand), self._waiting.popleft()
            next_try.attempts += 1
            worker.in_hand += 1
            self._calls[worker.actor.attempt.remote(next_try.unit)] = _Call(worker, next_try)

    def _hire(self) -> None:
        """Start workers for units that nobody is free to take."""
        starting = sum(call.current is None for call in self._calls.values())
        for _ in range(min(math.ceil(len(self._waiting) / self._at_once) - starting, self._limit - len(self._ready) - starting)):
            actor = self._actor.remote(self._work)
            self._calls[actor.set_up.remote()] = _Call(_Worker(actor))

    def _returned(self, reference: Any, call: _Call[U]) -> Iterator[Outcome[U, R]]:
        """A worker answered, or died; each of the units it had in hand comes here by itself then."""
        try:
            answer = ray.get(reference)
        except RayError as error:
            self._dismiss(call.worker)
            yield from self._died(call.current, error, time.monotonic() - call.since)
            return
        if call.current is None:
            if answer is not None:
                raise SetupError(str(answer)) from answer
            self._setup_deaths = 0
            self._ready.append(call.worker)
        else:
            call.worker.in_hand -= 1
            result, failure, seconds = answer
            yield Outcome(call.current.unit, result, failure, call.current.attempts, seconds)

    def _dismiss(self, worker: _Worker) -> None:
        """End a worker; that it is dead already does no harm."""
        ray.kill(worker.actor)
        self._ready = [other for other in self._ready if other is not worker]

    def _died(self, current: _Try[U] | None, error: RayError, seconds: float) -> Iterator[Outcome[U, R]]:
        what = _first_line(error)
        if current is None:
            self._setup_deaths += 1
            if self._setup_deaths >= self._options.attempts:
                raise SetupError(f"{self._name} cannot start: its worker died {self._setup_deaths} times while loading models ({what})") from error
        elif current.attempts < self._options.attempts:
            self._waiting.appendleft(current)
        else:
            kind = FailureKind.OUT_OF_MEMORY if isinstance(error, OutOfMemoryError) else FailureKind.WORKER_DIED
            remedy = "give workers more memory or run fewer of them" if kind is FailureKind.OUT_OF_MEMORY else "the file may crash the decoder: try another"
            failure = InputError(kind, f"the worker died {current.attempts} times in {self._name} of {current.unit}; {remedy} ({what})")
            yield Outcome(current.unit, None, failure, current.attempts, seconds)

    def _overdue(self) -> Iterator[Outcome[U, R]]:
        """Give up units that take too long, and their workers."""
        limit, now = self._limit_seconds, time.monotonic()
        for reference, call in list(self._calls.items()):
            if not limit or call.current is None or now - call.since <= limit:
                continue
            self._dismiss(call.worker)
            del self._calls[reference]
            unit = call.current.unit
            message = f"{self._name} of {unit} did not end within {self._options.timeout_minutes:g} minutes; raise timeout-minutes, or leave it out"
            yield Outcome(unit, None, InputError(FailureKind.TIMED_OUT, message), call.current.attempts, now - call.since)

    def _patience(self) -> float:
        """Seconds until something must be looked at even when no worker answers."""
        limit = self._limit_seconds
        busy = [call.since + limit - time.monotonic() for call in self._calls.values() if limit and call.current]
        return max(0.01, min([LOOK_AGAIN_SECONDS, *busy]))


def _most_workers(options: EngineOptions) -> int:
    """The number of workers asked for, or as many as the cluster has CPUs and GPUs for now; at least one, for clusters that grow from nothing."""
    if options.workers:
        return options.workers
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    most = resources.get("CPU", 0) // max(1.0, options.cpus_per_worker)
    if options.gpus_per_worker:
        most = min(most, resources.get("GPU", 0) // options.gpus_per_worker)
    return max(1, int(most))
