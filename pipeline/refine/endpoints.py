"""The servers of the judge: who is asked next, who is left in peace, and when there is nobody left to wait for.

Each server has a circuit breaker. *Unseen*: a probe must look first whether it has the model. *Closed*: it is asked. *Open*: it went away,
or only fails; nobody asks, but every now and then a probe looks whether it is back. *Half-open*: it is back as far as the probe can tell,
and one single request may try. Its answer closes the breaker, its failure opens it again.

What a failure means is asked of the server itself: one that still answers a probe is there, so the request may be at fault and has had
one of its attempts; one that does not has gone, which is no request's fault.

Patience runs while all breakers are open, and begins anew with each reply.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from pipeline.refine.backoff import Backoff

if TYPE_CHECKING:
    from openai import AsyncOpenAI  # takes seconds to import; here it is but a word

logger = logging.getLogger(__name__)

ADVICE = "Start the server (docs/refinement.md says how) and run again: what was answered is kept, only what is open will be asked."


class JudgeGone(Exception):  # noqa: N818 - it is said as it is
    """There is no judge, or it cannot be asked. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a server cannot be asked.

    Attributes:
        message: in words, without secrets.
        refuses_key: it would take another key; waiting is of no use.
    """

    message: str
    refuses_key: bool = False


class State(Enum):
    """Of a circuit breaker."""

    UNSEEN = auto()
    CLOSED = auto()
    HALF_OPEN = auto()
    OPEN = auto()


class Endpoint:
    """One server.

    Attributes:
        address: its base URL, without user and password.
        client: speaks to it.
        state: of its circuit breaker.
        in_flight: requests under way.
        requests: so far.
        failures: in a row.
        openings: of the breaker since the last reply to a trial.
        trouble: what went wrong last.
        refuses_key: as the last probe found.
    """

    def __init__(self, address: str, client: "AsyncOpenAI") -> None:
        self.address = address
        self.client = client
        self.state = State.UNSEEN
        self.in_flight = 0
        self.requests = 0
        self.failures = 0
        self.openings = 0
        self.trouble = "not asked yet"
        self.refuses_key = False
        self.trial: Place | None = None
        self.probe: asyncio.Future[Missing | None] | None = None
        self.watch: asyncio.Task[None] | None = None

    @property
    def is_free(self) -> bool:
        """Whether it may be asked now."""
        return self.state is State.CLOSED or (self.state is State.HALF_OPEN and self.trial is None)


@dataclass(eq=False, slots=True)
class Place:
    """The right to send one request to a server; whether the breaker's fate depends on it."""

    endpoint: Endpoint
    is_trial: bool


Probe = Callable[[Endpoint], Awaitable[Missing | None]]
"""Looks whether a server is there with the model that is wanted: None when it is, else what is wrong. Raises nothing, ends in time."""


class Endpoints:
    """Shares requests among servers: the one with the fewest under way is next."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        probe: Probe,
        tolerated: int,
        patience: float,
        backoff: Backoff,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up.

        Args:
            endpoints: at least one.
            probe: see Probe.
            tolerated: failures in a row of a server that answers probes, until it is left in peace all the same.
            patience: seconds with all breakers open, since the last reply, until JudgeGone.
            backoff: between probes of a server that is away.
            sleep: between probes.
            clock: in seconds.
        """
        self._endpoints = endpoints
        self._probe = probe
        self._tolerated = tolerated
        self._patience = patience
        self._backoff = backoff
        self._sleep = sleep
        self._clock = clock
        self._silent = 0.0  # seconds with all breakers open since the last reply, until they were last not
        self._all_open_since: float | None = None
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """Wait for a server that may be asked. Tell ``replied`` or ``failed`` what became of the request before leaving.

        Raises:
            JudgeGone: patience is over, or every server refuses the key.
        """
        place = await self._take()
        try:
            yield place
        finally:
            place.endpoint.in_flight -= 1
            if place.endpoint.trial is place:
                place.endpoint.trial = None
                self._notify()

    def replied(self, place: Place) -> None:
        """The server has answered, be it with a refusal: it lives."""
        endpoint = place.endpoint
        self._silent = 0.0
        if self._all_open_since is not None:
            self._all_open_since = self._clock()
        endpoint.failures = 0
        # A reply that was on its way while the server went is no sign of its return: only a trial's is.
        if place.is_trial:
            endpoint.openings = 0
            logger.info("%s is back", endpoint.address)
            self._turn(endpoint, State.CLOSED)

    async def refused(self, place: Place) -> bool:
        """The server has refused a request in words that may hold for all of them: a look tells.

        Returns:
            Whether the server is there: then it has refused this request alone.
        """
        endpoint = place.endpoint
        if (missing := await self._look(endpoint)) is None:
            self.replied(place)
            return True
        endpoint.trouble = missing.message
        if endpoint.state is State.CLOSED or place.is_trial:  # else another request's trial decides
            self._open(endpoint)
        return False

    async def failed(self, place: Place, trouble: str) -> bool:
        """The server has not answered, or with an error of its own.

        Args:
            place: of the request.
            trouble: what happened, without secrets.

        Returns:
            Whether the server is there all the same: then the request may be at fault.
        """
        endpoint = place.endpoint
        endpoint.failures += 1
        endpoint.trouble = trouble
        if endpoint.state is not State.CLOSED and not place.is_trial:
            return False
        missing = await self._look(endpoint)
        if place.is_trial or missing is not None or endpoint.failures >= self._tolerated:
            self._open(endpoint)
        return missing is None

    async def close(self) -> None:
        """Stop looking after servers that are away."""
        tasks = [task for endpoint in self._endpoints for task in (endpoint.watch, endpoint.probe) if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self) -> Place:
        for endpoint in self._endpoints:
            if endpoint.state is State.UNSEEN and endpoint.watch is None:
                endpoint.watch = asyncio.create_task(self._meet(endpoint))
        while not (free := [endpoint for endpoint in self._endpoints if endpoint.is_free]):
            await self._wait()
        endpoint = min(free, key=lambda endpoint: (endpoint.in_flight, endpoint.requests))
        endpoint.in_flight += 1
        endpoint.requests += 1
        place = Place(endpoint, endpoint.state is State.HALF_OPEN)
        if place.is_trial:
            endpoint.trial = place
        return place

    async def _wait(self) -> None:
        """Wait until something changes. While a trial is under way there is hope, and it ends by itself: patience is not looked at."""
        left = None
        if self._all_open_since is not None:
            if all(endpoint.refuses_key for endpoint in self._endpoints):
                raise JudgeGone(f"the judge cannot be asked: {self._troubles()}")
            left = self._all_open_since + self._patience - self._silent - self._clock()
            if left <= 0:
                raise JudgeGone(f"no reply from the judge for {self._patience / 60:.3g} minutes ({self._troubles()}). {ADVICE}")
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._changed.wait()

    def _troubles(self) -> str:
        return "; ".join(f"{endpoint.address}: {endpoint.trouble}" for endpoint in self._endpoints)

    def _turn(self, endpoint: Endpoint, state: State) -> None:
        """Turn a breaker, and with it the clock of patience."""
        endpoint.state = state
        now_open = all(other.state is State.OPEN for other in self._endpoints)
        if now_open and self._all_open_since is None:
            self._all_open_since = self._clock()
        elif not now_open and self._all_open_since is not None:
            self._silent += self._clock() - self._all_open_since
            self._all_open_since = None
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _look(self, endpoint: Endpoint) -> Missing | None:
        """Probe a server, once for all who want to know at the same time."""
        if endpoint.probe is None or endpoint.probe.done():
            endpoint.probe = asyncio.ensure_future(self._probe(endpoint))
        missing = await asyncio.shield(endpoint.probe)
        endpoint.refuses_key = missing is not None and missing.refuses_key
        if missing is not None and missing.refuses_key:
            endpoint.trouble = missing.message
            self._notify()
        return missing

    async def _meet(self, endpoint: Endpoint) -> None:
        """Look at a server for the first time."""
        if (missing := await self._look(endpoint)) is None:
            self._turn(endpoint, State.CLOSED)
        else:
            endpoint.trouble = missing.message
            self._open(endpoint)

    def _open(self, endpoint: Endpoint) -> None:
        if endpoint.state is State.OPEN:
            return
        endpoint.openings += 1
        self._turn(endpoint, State.OPEN)
        logger.warning("%s is not asked until it is back: %s", endpoint.address, endpoint.trouble)
        endpoint.watch = asyncio.create_task(self._await_return(endpoint))

    async def _await_return(self, endpoint: Endpoint) -> None:
        looks = endpoint.openings
        await self._sleep(self._backoff.wait(looks))
        while (missing := await self._look(endpoint)) is not None:
            endpoint.trouble = missing.message
            looks += 1
            await self._sleep(self._backoff.wait(looks))
        self._turn(endpoint, State.HALF_OPEN)
