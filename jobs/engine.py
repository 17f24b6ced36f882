"""Runs units of work: one after another in this process, or on the workers of a Ray cluster, with the same outcome.

A unit is a small description (a path and a span of time), its result a few numbers; what a unit makes, the worker writes to
storage itself. Pixels never travel between processes.

Ray Core, not Ray Data, because of what the units are:

- They differ by orders of magnitude in duration (a 5-second clip, ten minutes of a film). Ray Data schedules blocks of rows and
  waits for a block's slowest row; here a worker that is free takes the next unit.
- Faults are per unit. In Ray Data one raised exception ends a whole batch, and a process that dies in a decoder takes a block's
  other rows with it through every retry. Here an exception is an Outcome, and a death costs one unit one attempt.
- Nothing flows between stages but files, so streaming blocks through an object store, backpressure by bytes and spilling have
  nothing to do. What is in flight is bounded by one unit per worker. (None is queued at a worker: it would wait behind a long unit
  while another worker is free, and the round trip it saves is a millisecond of units that take seconds.)
- Models load once per worker: an actor is exactly that.
- "Done" is decided by rows in storage, which the worker writes last; no scheduler's bookkeeping can contradict them.
"""

import logging
import os
import time
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain, islice
from typing import Annotated, Generic, Literal, Protocol, TypeVar

import tyro

from pipeline.failures import InputError, classify
from schemas.vocabulary import FailureKind

U = TypeVar("U")
R = TypeVar("R")
U_contra = TypeVar("U_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

logger = logging.getLogger(__name__)


class Work(Protocol[U_contra, R_co]):
    """What is done to a unit. Is pickled to the workers, so it holds options; what is loaded in setup lives in the worker."""

    @property
    def name(self) -> str:
        """The stage's word, for messages."""

    @property
    def units_at_once(self) -> int:
        """Units that a worker has in hand at the same time, each on a thread of its own: 1, unless units mostly wait for others."""

    def setup(self) -> None:
        """Called once per worker before its first unit, to load models. An error ends the job: it would hit every unit."""

    def __call__(self, unit: U_contra) -> R_co:
        """Do one unit; an exception becomes its Outcome's error."""

    def close(self) -> None:
        """Called once per worker after its last unit, unless the worker died; or to let go of units in hand, when the job is stopped."""


class Stateless:
    """Base of work that has nothing to load and nothing to release."""

    units_at_once = 1

    def setup(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[U, R]):
    """What became of a unit: a result or an error.

    Attributes:
        unit: as given.
        result: what the work returned; None when there is an error.
        error: typed reason and message.
        attempts: how often it was started; more than 1 when workers died in it.
        seconds: wall-clock time of the last attempt.
    """

    unit: U
    result: R | None
    error: InputError | None
    attempts: int
    seconds: float


class SetupError(RuntimeError):
    """The work cannot start on any unit, for example because weights are missing."""


@dataclass(frozen=True)
class EngineOptions:
    """Where and how units run. Has no influence on results."""

    engine: Literal["auto", "local", "ray"] = "auto"
    """local: in this process, one unit after another. ray: on a cluster, one is started here when there is none.
    auto: ray when a cluster's address is known, or when there is more than one unit and more than one worker to do them"""
    address: str | None = None
    """address of a Ray cluster; RAY_ADDRESS when not given, which is set inside a submitted job"""
    workers: int = 0
    """number of workers; 0: one per CPU of the cluster (per GPU, where workers ask for some), also of those that join later"""
    cpus_per_worker: float = 0.9
    """CPUs that a worker asks of Ray; below 1 so that workers never take every CPU from whatever else the cluster must run"""
    gpus_per_worker: float = 0.0
    """GPUs that a worker asks of Ray; `encode` asks for 1 where there are some"""
    attempts: Annotated[int, tyro.conf.arg(metavar="COUNT")] = 3
    """starts of a unit before it fails, when workers die in it"""
    timeout_minutes: float = 120.0
    """minutes until a unit is given up and its worker replaced; 0: never. Only with ray; a judge's replies have a limit of their own"""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.workers < 0 or self.attempts < 1 or self.cpus_per_worker <= 0 or self.gpus_per_worker < 0 or self.timeout_minutes < 0:
            raise ValueError("engine: workers, gpus-per-worker and timeout-minutes must not be negative, attempts at least 1, cpus-per-worker above 0")


def run_units(work: Work[U, R], units: Iterable[U], options: EngineOptions) -> Iterator[Outcome[U, R]]:
    """Do every unit and yield what became of it, in the order of completion. Closing the iterator stops the workers.

    Args:
        work: what to do; see Work.
        units: taken as workers become free. No worker and no cluster is started when there are none.
        options: where to run.

    Raises:
        SetupError: the work's setup failed; its message is what to do.
    """
    units = iter(units)
    first = list(islice(units, 2))
    if not first:
        return
    units = chain(first, units)
    if chosen_engine(options, len(first)) == "ray":
        from jobs.ray_engine import run_on_ray  # Ray takes a second to import and is not needed on a laptop

        yield from run_on_ray(work, units, options)
    else:
        yield from run_here(work, units)


def chosen_engine(options: EngineOptions, units: int) -> Literal["local", "ray"]:
    """What ``auto`` means for that many units (2 stands for many)."""
    if options.engine != "auto":
        return options.engine
    if not starts_cluster(options):
        return "ray"
    return "ray" if units > 1 and (options.workers or os.cpu_count() or 1) > 1 else "local"


def starts_cluster(options: EngineOptions) -> bool:
    """Whether it is left to the engine to start a cluster of its own: nobody asked for one, and none is known."""
    return options.engine == "auto" and not knows_cluster(options)


def knows_cluster(options: EngineOptions) -> bool:
    """Whether there is a cluster's address: its workers may be on other machines than this."""
    return bool(options.address or os.environ.get("RAY_ADDRESS"))


def run_here(work: Work[U, R], units: Iterator[U]) -> Iterator[Outcome[U, R]]:
    """Do the units in this process, in order; in the order of their completion, when the work has several in hand.

    A unit that kills the process kills the job: that is what workers are for.
    """
    if error := set_up(work):
        raise SetupError(str(error)) from error
    pool = ThreadPoolExecutor(work.units_at_once) if work.units_at_once > 1 else None
    try:
        if pool is None:
            for unit in units:
                yield _outcome(unit, attempt(work, unit))
        else:
            yield from _side_by_side(pool, work, units)
    finally:
        work.close()
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _side_by_side(pool: ThreadPoolExecutor, work: Work[U, R], units: Iterator[U]) -> Iterator[Outcome[U, R]]:
    """Keep as many units in hand as the work can have."""
    in_hand = {pool.submit(attempt, work, unit): unit for unit in islice(units, work.units_at_once)}
    while in_hand:
        done, _ = wait(in_hand, return_when=FIRST_COMPLETED)
        for future in done:
            yield _outcome(in_hand.pop(future), future.result())
            in_hand |= {pool.submit(attempt, work, unit): unit for unit in islice(units, 1)}


def set_up(work: Work[U, R]) -> InputError | None:
    """Run the work's setup; its error, typed, when it fails."""
    try:
        work.setup()
    except Exception as error:
        return _typed(error, f"{work.name} cannot start: ")
    return None


def attempt(work: Work[U, R], unit: U) -> tuple[R | None, InputError | None, float]:
    """Do one unit: its result or typed error, and the seconds it took."""
    started = time.perf_counter()
    try:
        return work(unit), None, time.perf_counter() - started
    except Exception as error:
        return None, _typed(error), time.perf_counter() - started


def _outcome(unit: U, tried: tuple[R | None, InputError | None, float]) -> Outcome[U, R]:
    """What became of a unit in its only attempt: in this process there are no deaths to survive."""
    result, failure, seconds = tried
    return Outcome(unit, result, failure, 1, seconds)


def _typed(error: Exception, prefix: str = "") -> InputError:
    kind, message = classify(error)
    if kind is FailureKind.BUG:
        place = traceback.extract_tb(error.__traceback__)[-1]
        message += f" (in {place.name}, {place.filename}:{place.lineno})"
        logger.error("unexpected error", exc_info=error)
    return InputError(kind, prefix + message)
