"""Circuit breakers and the sharing of load, with servers that are made of flags and a clock that is moved by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import cast

import pytest
from openai import AsyncOpenAI

from pipeline.refine.backoff import Backoff
from pipeline.refine.endpoints import Endpoint, Endpoints, JudgeGone, Place, State


class World:
    """Some servers, and a time that passes only when somebody sleeps."""

    def __init__(self, servers: int = 1, tolerated: int = 100, patience: float = 100.0) -> None:
        self.now = 0.0
        self.missing: dict[str, str | None] = {}
        self.probes: list[str] = []
        self.asleep: list[tuple[float, asyncio.Event]] = []
        self.servers = [Endpoint(f"http://{number}/v1", cast(AsyncOpenAI, None)) for number in range(servers)]
        self.endpoints = Endpoints(
            self.servers, self.probe, tolerated, patience, Backoff(first=1.0, longest=8.0, random=Random(0)), self.sleep, lambda: self.now
        )

    async def probe(self, endpoint: Endpoint) -> str | None:
        self.probes.append(endpoint.address)
        await asyncio.sleep(0)
        return self.missing.get(endpoint.address)

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        self.asleep.append((self.now + seconds, event))
        await event.wait()

    async def settle(self) -> None:
        """Let everything run that can run without time passing."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        await self.settle()
        self.now += seconds
        for when, event in self.asleep:
            if when <= self.now:
                event.set()
        await self.settle()

    def state(self, number: int = 0) -> State:
        return self.servers[number].state

    def go_away(self, number: int = 0) -> None:
        self.missing[self.servers[number].address] = "nobody there"

    def come_back(self, number: int = 0) -> None:
        self.missing[self.servers[number].address] = None

    async def fail(self) -> bool:
        async with self.endpoints.place() as place:
            return await self.endpoints.failed(place, "lost")

    async def reply(self) -> None:
        async with self.endpoints.place() as place:
            self.endpoints.replied(place)


class Held:
    """A request that stays under way until it is told how it ends."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.place: Place | None = None
        self.end = asyncio.Event()
        self.replies = True
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> bool | None:
        async with self.world.endpoints.place() as self.place:
            await self.end.wait()
            if self.replies:
                self.world.endpoints.replied(self.place)
                return None
            return await self.world.endpoints.failed(self.place, "lost")

    async def finish(self, replies: bool = True) -> bool | None:
        self.replies = replies
        self.end.set()
        return await self.task


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def act() -> None:
        async with asyncio.timeout(5):
            await story()

    asyncio.run(act())


def test_the_server_with_the_fewest_under_way_is_next() -> None:
    async def story() -> None:
        world = World(servers=3)
        held = [Held(world) for _ in range(9)]
        await world.settle()
        assert [server.in_flight for server in world.servers] == [3, 3, 3]
        for request in held:
            if request.place is not None and request.place.endpoint is world.servers[1]:
                await request.finish()
        more = [Held(world) for _ in range(2)]
        await world.settle()
        assert [server.in_flight for server in world.servers] == [3, 2, 3]
        for request in [*held, *more]:
            await request.finish()
        assert [server.in_flight for server in world.servers] == [0, 0, 0]

    play(story)


def test_one_after_another_goes_round() -> None:
    async def story() -> None:
        world = World(servers=2)
        for _ in range(10):
            await world.reply()
        assert [server.requests for server in world.servers] == [5, 5]

    play(story)


def test_a_failure_of_a_server_that_is_there_is_the_requests_own() -> None:
    async def story() -> None:
        world = World()
        assert await world.fail() is True
        assert world.state() is State.CLOSED

    play(story)


def test_a_failure_of_a_server_that_has_gone_is_not() -> None:
    async def story() -> None:
        world = World()
        held = [Held(world) for _ in range(4)]
        await world.settle()
        world.go_away()
        assert await asyncio.gather(*(request.finish(replies=False) for request in held)) == [False] * 4
        assert world.state() is State.OPEN
        assert len(world.probes) == 1  # one look for all four
        await world.endpoints.close()

    play(story)


def test_one_request_tries_a_server_that_is_back_and_the_others_follow_its_reply() -> None:
    async def story() -> None:
        world = World()
        world.go_away()
        await world.fail()
        waiting = [Held(world) for _ in range(5)]
        await world.pass_time(60)
        assert world.state() is State.OPEN
        assert [request.place for request in waiting] == [None] * 5
        world.come_back()
        await world.pass_time(60)
        assert world.state() is State.HALF_OPEN
        assert world.servers[0].in_flight == 1
        (trial,) = [request for request in waiting if request.place is not None]
        await trial.finish()
        await world.settle()
        assert world.state() is State.CLOSED
        assert world.servers[0].in_flight == 4
        for request in waiting:
            await request.finish()

    play(story)


def test_a_trial_that_fails_opens_the_breaker_again_and_a_trial_that_is_given_up_leaves_the_next_one_its_turn() -> None:
    async def story() -> None:
        world = World()
        world.go_away()
        await world.fail()
        world.come_back()
        await world.pass_time(60)
        first = Held(world)
        await world.settle()
        assert await first.finish(replies=False) is True  # the server answers the probe
        assert world.state() is State.OPEN
        await world.pass_time(60)
        second, third = Held(world), Held(world)
        await world.settle()
        assert (second.place is not None, third.place) == (True, None)
        second.task.cancel()
        await world.settle()
        assert third.place is not None
        assert world.servers[0].in_flight == 1
        await third.finish()
        assert world.state() is State.CLOSED

    play(story)


def test_a_reply_that_was_on_its_way_does_not_close_the_breaker() -> None:
    async def story() -> None:
        world = World()
        late = Held(world)
        await world.settle()
        world.go_away()
        await world.fail()
        await late.finish()
        assert world.state() is State.OPEN
        await world.endpoints.close()

    play(story)


def test_a_server_that_is_there_but_only_fails_is_left_in_peace() -> None:
    async def story() -> None:
        world = World(tolerated=3)
        assert [await world.fail() for _ in range(2)] == [True, True]
        await world.reply()  # a reply between: the count begins anew
        assert [await world.fail() for _ in range(3)] == [True, True, True]
        assert world.state() is State.OPEN
        await world.endpoints.close()

    play(story)


def test_probes_become_rarer_up_to_a_bound() -> None:
    async def story() -> None:
        world = World(patience=1e9)
        world.go_away()
        await world.fail()
        for _ in range(40):
            await world.pass_time(8.0)
        assert len(world.probes) == 41  # the first look, and one after each wait: none was longer than 8 s
        await world.endpoints.close()

    play(story)


def test_the_other_server_takes_over() -> None:
    async def story() -> None:
        world = World(servers=2)
        world.go_away(0)
        assert await world.fail() is False
        for _ in range(4):
            await world.reply()
        assert [server.requests for server in world.servers] == [1, 4]
        world.come_back(0)
        await world.pass_time(60)
        await world.reply()
        assert world.state() is State.CLOSED
        await world.endpoints.close()

    play(story)


def test_patience_ends_with_what_happened_and_what_to_do() -> None:
    async def story() -> None:
        world = World(servers=2, patience=0.05)
        for number in (0, 1):
            world.go_away(number)
            await world.fail()
        world.now += 0.1
        with pytest.raises(JudgeGone, match=r"no reply .* 0.000833 minutes \(http://0/v1: lost; http://1/v1: lost\)\. Start the server"):
            await world.reply()
        await world.endpoints.close()

    play(story)


def test_patience_is_over_for_those_who_wait_already() -> None:
    async def story() -> None:
        world = World(patience=0.02)
        world.endpoints._clock = asyncio.get_running_loop().time
        world.go_away()
        await world.fail()
        waiting = [Held(world) for _ in range(3)]
        ends = await asyncio.gather(*(request.task for request in waiting), return_exceptions=True)
        assert [type(end) for end in ends] == [JudgeGone] * 3
        await world.endpoints.close()

    play(story)


def test_an_hour_without_questions_is_no_silence() -> None:
    async def story() -> None:
        world = World(patience=100.0)
        await world.reply()
        world.now += 3600
        world.go_away()
        await world.fail()
        waiting = Held(world)
        await world.settle()
        assert not waiting.task.done()
        world.come_back()
        await world.pass_time(60)
        await waiting.finish()

    play(story)


def test_patience_is_not_lost_while_a_trial_is_under_way_and_begins_anew_with_a_return() -> None:
    async def story() -> None:
        world = World(patience=100.0)
        world.go_away()
        await world.fail()
        world.come_back()
        await world.pass_time(90)
        trial = Held(world)
        waiting = Held(world)
        await world.pass_time(90)
        assert not waiting.task.done()
        await trial.finish()
        await waiting.finish()
        world.go_away()
        await world.fail()
        late = Held(world)
        await world.settle()
        assert not late.task.done()
        late.task.cancel()
        await world.endpoints.close()

    play(story)


def test_a_judge_that_comes_back_after_patience_was_over_is_asked_again() -> None:
    async def story() -> None:
        world = World(patience=0.0)
        world.go_away()
        await world.fail()
        with pytest.raises(JudgeGone):
            await world.reply()
        world.come_back()
        await world.pass_time(60)
        await world.reply()
        assert world.state() is State.CLOSED

    play(story)
