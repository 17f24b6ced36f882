"""One request until it has a reply, or until there is no sense in sending it again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from pipeline.refine.backoff import Backoff
from pipeline.refine.endpoints import Endpoint, Endpoints, Place
from pipeline.refine.redaction import Redaction
from pipeline.refine.replies import Reply, ReplyError, read_reply
from pipeline.refine.troubles import Trouble, trouble_of

LIVES = 5
"""How often a request may be under way when a server goes away. Servers are stopped and started again, which uses up nobody's attempts;
but a request that brings down every server it meets must come to an end too."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a request.

    Attributes:
        outcome: the reply, or the trouble of the last try.
        requests: how often it was sent.
        seconds: from the sending that brought the reply until it was read; None without a reply.
    """

    outcome: Reply | Trouble
    requests: int
    seconds: float | None


class Sender:
    """Sends requests to whichever server is next, again where that makes sense."""

    def __init__(
        self,
        endpoints: Endpoints,
        redaction: Redaction,
        attempts: int,
        timeout: float,
        backoff: Backoff,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Set up.

        Args:
            endpoints: the servers.
            redaction: for messages.
            attempts: of a request at servers that are there.
            timeout: seconds of a try, from the request to the last byte of the reply; a server that trickles cannot hold a place longer.
            backoff: between tries.
            sleep: between tries.
        """
        self._endpoints = endpoints
        self._redaction = redaction
        self._attempts = attempts
        self._timeout = timeout
        self._backoff = backoff
        self._sleep = sleep

    async def send(self, body: dict[str, Any], request_id: str) -> Sent:
        """Send a chat request.

        Args:
            body: of the request.
            request_id: goes with it as a header, with the number of the try, so that a server can tell a repetition from its forerunner.

        Raises:
            JudgeGone: no server can be asked any more.
        """
        requests = failed = lost = 0
        while True:
            async with self._endpoints.place() as place:
                requests += 1
                started = time.perf_counter()
                outcome = await self._try(place.endpoint, body, f"{request_id}-{requests}")
                seconds = time.perf_counter() - started
                is_there = await self._report(place, outcome)
            if isinstance(outcome, Reply):
                return Sent(outcome, requests, seconds)
            failed += is_there
            lost += not is_there and outcome.has_arrived and not outcome.is_doubtful
            if (is_there and not outcome.is_retried) or failed >= self._attempts or lost >= LIVES:
                return Sent(outcome, requests, None)
            if is_there:
                await self._sleep(self._backoff.wait(failed, outcome.asked_wait))

    async def _try(self, endpoint: Endpoint, body: dict[str, Any], name: str) -> Reply | Trouble:
        try:
            async with asyncio.timeout(self._timeout):
                # chat.completions.create would do the same after a walk through the body, which takes a third of all the time a request takes.
                response = await endpoint.client.post("/chat/completions", cast_to=httpx2.Response, body=body, options={"headers": {"X-Request-Id": name}})
            reply = read_reply(response.content)
            if reply.model is not None and not reply.model.startswith(body["model"]):  # some servers append the model's date
                raise ReplyError(f"it is by the model {reply.model}, not {body['model']}")
            return reply
        except Exception as error:
            if (trouble := trouble_of(error, self._redaction)) is None:
                raise
            return trouble

    async def _report(self, place: Place, outcome: Reply | Trouble) -> bool:
        """Tell the breaker; whether the server is there."""
        if isinstance(outcome, Trouble) and outcome.is_doubtful:
            return await self._endpoints.refused(place)
        if isinstance(outcome, Reply) or outcome.is_alive:
            self._endpoints.replied(place)
            return True
        return await self._endpoints.failed(place, outcome.message)
