"""One request: sent again where that makes sense, and no more often than it may."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from pipeline.refine.backoff import Backoff
from pipeline.refine.endpoints import Endpoint, Endpoints, JudgeGone, Missing, State
from pipeline.refine.options import ServerOptions
from pipeline.refine.redaction import NO_KEY, Redaction
from pipeline.refine.replies import Reply
from pipeline.refine.sending import LIVES, Sender, Sent
from pipeline.refine.serving import connect, http_client
from pipeline.refine.troubles import Trouble
from schemas.vocabulary import PendingReason
from tests.pipeline.refine.hostile_server import MODEL, Exchange, HostileServer, envelope, hang, html_500, status, trickle


class Sleeper:
    """Sleeps no time and remembers how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def chat(row: str = "row") -> dict[str, Any]:
    picture = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(row.encode()).decode()}}
    schema = {"type": "object", "properties": {"request_id": {"const": "id1"}}}
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": [picture]}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    }


def send(
    server: HostileServer,
    sleep: Callable[[float], Awaitable[None]],
    attempts: int = 3,
    timeout: float = 5.0,
    is_there: Callable[[], bool] = lambda: True,
    refuses_key: bool = False,
) -> Sent:
    async def act() -> Sent:
        options = ServerOptions((server.url,))
        async with http_client(options) as http:

            async def probe(_: Endpoint) -> Missing | None:
                return None if is_there() else Missing("nobody there", refuses_key)

            backoff = Backoff(first=1.0, longest=8.0, random=Random(0))
            endpoint = Endpoint(server.url, connect(server.url, NO_KEY, http))
            endpoint.state = State.CLOSED
            endpoints = Endpoints([endpoint], probe, 1000, 60.0, Backoff(first=0.001))
            sent = await Sender(endpoints, Redaction(NO_KEY, []), attempts, timeout, backoff, sleep).send(chat(), "id1")
            await endpoints.close()
            return sent

    return asyncio.run(act())


def test_a_reply_comes_with_the_time_it_took_and_the_request_with_its_name() -> None:
    with HostileServer() as server:
        sent = send(server, Sleeper())
        assert isinstance(sent.outcome, Reply)
        assert sent.outcome.content == '{"request_id": "id1"}'
        assert sent.requests == 1
        assert sent.seconds is not None
        assert 0 < sent.seconds < 5
        assert server.requests[0].headers["x-request-id"] == "id1-1"


def test_retry_after_is_waited_for() -> None:
    sleep = Sleeper()
    with HostileServer(faults={"row": [status(429, headers={"retry-after": "7"}), status(503, headers={"retry-after": "86400"})]}) as server:
        sent = send(server, sleep)
    assert isinstance(sent.outcome, Reply)
    assert [request.headers["x-request-id"] for request in server.requests] == ["id1-1", "id1-2", "id1-3"]
    assert 7.0 <= sleep.seconds[0] <= 8.0
    assert 60.0 <= sleep.seconds[1] <= 61.0


def test_without_retry_after_the_wait_is_jitter_below_a_bound_that_doubles() -> None:
    sleep = Sleeper()
    with HostileServer(faults={"row": [status(429), status(408), status(409), html_500]}) as server:
        assert isinstance(send(server, sleep, attempts=5).outcome, Reply)
    assert all(0 <= seconds <= bound for seconds, bound in zip(sleep.seconds, [1, 2, 4, 8], strict=True))


@pytest.mark.parametrize(("fault", "problem"), [(status(429), PendingReason.RATE_LIMITED), (html_500, PendingReason.SERVER_ERROR)])
def test_attempts_come_to_an_end(fault: Callable[[Exchange], Awaitable[None]], problem: PendingReason) -> None:
    sleep = Sleeper()
    with HostileServer(always={"row": fault}) as server:
        sent = send(server, sleep, attempts=4)
    assert isinstance(sent.outcome, Trouble)
    assert sent.outcome.problem is problem
    assert (sent.requests, sent.seconds, len(server.requests), len(sleep.seconds)) == (4, None, 4, 3)


def test_a_request_that_the_server_does_not_take_is_sent_once() -> None:
    with HostileServer(always={"row": status(400, "too many images")}) as server:
        sent = send(server, Sleeper())
    assert isinstance(sent.outcome, Trouble)
    assert (sent.outcome.problem, sent.requests, len(server.requests)) == (PendingReason.REFUSED, 1, 1)


@pytest.mark.parametrize("fault", [hang, trickle])
def test_a_server_that_does_not_come_to_an_end_holds_nobody_up(fault: Callable[[Exchange], Awaitable[None]]) -> None:
    with HostileServer(faults={"row": [fault]}) as server:
        sent = send(server, Sleeper(), timeout=1.0)
    assert isinstance(sent.outcome, Reply)
    assert sent.requests == 2


@pytest.mark.parametrize("code", [401, 403, 404])
def test_what_a_server_refuses_that_is_there_is_sent_once(code: int) -> None:
    with HostileServer(always={"row": status(code, "not this one")}) as server:
        sent = send(server, Sleeper())
    assert isinstance(sent.outcome, Trouble)
    assert (sent.outcome.problem, sent.outcome.message) == (PendingReason.REFUSED, f"the server answers {code}: not this one")
    assert len(server.requests) == 1


def test_what_a_server_refuses_that_is_not_there_is_sent_again_and_costs_nothing() -> None:
    looks = iter([False, True] * LIVES)
    with HostileServer(faults={"row": [status(404)] * LIVES}) as server:
        sent = send(server, Sleeper(), attempts=1, is_there=lambda: next(looks))
    assert isinstance(sent.outcome, Reply)
    assert sent.requests == LIVES + 1


def test_a_key_that_is_refused_ends_it() -> None:
    with HostileServer(always={"row": status(401)}) as server, pytest.raises(JudgeGone, match=rf"cannot be asked: {server.url}: nobody there"):
        send(server, Sleeper(), is_there=lambda: False, refuses_key=True)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("model", "requests"), [("another/judge", 2), (MODEL[:-1], 2), (MODEL, 1), (f"{MODEL}-2025-01-01", 1), (None, 1)])
def test_a_reply_of_another_model_is_none(model: str | None, requests: int) -> None:
    async def named(exchange: Exchange) -> None:
        await exchange.respond(200, json.dumps(json.loads(envelope(exchange.request, exchange.request.text)) | {"model": model}).encode())

    with HostileServer(faults={"row": [named]}) as server:
        assert send(server, Sleeper()).requests == requests
    with HostileServer(always={"row": named}) as server:
        outcome = send(server, Sleeper()).outcome
    if requests == 1:
        assert isinstance(outcome, Reply)
    else:
        assert isinstance(outcome, Trouble)
        assert outcome.problem is PendingReason.SERVER_ERROR
        assert f"by the model {model}, not {MODEL}" in outcome.message


def test_a_server_that_goes_away_and_comes_back_uses_up_no_attempts() -> None:
    looks = iter([False, True] * 3)

    async def reset(exchange: Exchange) -> None:
        await exchange.reset()

    sleep = Sleeper()
    with HostileServer(faults={"row": [reset]}) as server:
        sent = send(server, sleep, attempts=1, is_there=lambda: next(looks))
    assert isinstance(sent.outcome, Reply)
    assert (sent.requests, sleep.seconds) == (2, [])


def test_a_request_that_brings_down_every_server_comes_to_an_end() -> None:
    looks = iter([False, True] * 100)  # away when it has failed, back a moment later

    async def reset(exchange: Exchange) -> None:
        await exchange.reset()

    with HostileServer(always={"row": reset}) as server:
        sent = send(server, Sleeper(), attempts=1, is_there=lambda: next(looks))
    assert isinstance(sent.outcome, Trouble)
    assert sent.outcome.problem is PendingReason.CONNECTION_LOST
    assert len(server.requests) == LIVES
