"""Circuit breakers and the sharing of load, with servers that are made of flags and a clock that is moved by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import cast

import pytest
from openai import AsyncOpenAI

from pipeline.refine.backoff import Backoff
from pipeline.refine.endpoints import Endpoint, Endpoints, JudgeGone, Missing, Place, State


class World:
    """Some servers, and a time that passes only when somebody sleeps."""

    def __init__(self, servers: int = 1, tolerated: int = 100, patience: float = 100.0, are_seen: bool = True) -> None:
        self.now = 0.0
        self.missing: dict[str, Missing | None] = {}
        self.probes: list[str] = []
        self.asleep: list[tuple[float, asyncio.Event]] = []
        self.servers = [Endpoint(f"http://{number}/v1", cast(AsyncOpenAI, None)) for number in range(servers)]
        for server in self.servers:
            server.state = State.CLOSED if are_seen else State.UNSEEN
        self.endpoints = Endpoints(
            self.servers, self.probe, tolerated, patience, Backoff(first=1.0, longest=8.0, random=Random(0)), self.sleep, lambda: self.now
        )

    async def probe(self, endpoint: Endpoint) -> Missing | None:
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

    def go_away(self, number: int = 0, refuses_key: bool = False) -> None:
        self.missing[self.servers[number].address] = Missing("nobody there", refuses_key)

    def come_back(self, number: int = 0) -> None:
        self.missing[self.servers[number].address] = None

    async def fail(self) -> bool:
        async with self.endpoints.place() as place:
            return await self.endpoints.failed(place, "lost")

    async def refuse(self) -> bool:
        async with self.endpoints.place() as place:
            return await self.endpoints.refused(place)

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
        world.now += 60
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


def test_nobody_is_asked_unseen_and_many_share_one_look() -> None:
    async def story() -> None:
        world = World(servers=2, are_seen=False)
        world.go_away(1)
        waiting = [Held(world) for _ in range(6)]
        await world.settle()
        assert sorted(world.probes) == ["http://0/v1", "http://1/v1"]
        assert [server.requests for server in world.servers] == [6, 0]
        assert (world.state(0), world.state(1)) == (State.CLOSED, State.OPEN)
        world.come_back(1)
        await world.pass_time(60)
        late = Held(world)
        await world.settle()
        assert world.servers[1].requests == 1
        for request in [*waiting, late]:
            await request.finish()

    play(story)


def test_a_server_that_was_never_there_is_waited_for() -> None:
    async def story() -> None:
        world = World(patience=100.0, are_seen=False)
        world.go_away()
        waiting = Held(world)
        await world.pass_time(60)
        assert (waiting.place, world.state()) == (None, State.OPEN)
        world.come_back()
        await world.pass_time(30)
        await waiting.finish()
        assert world.state() is State.CLOSED

    play(story)


def test_what_a_server_refuses_is_one_requests_own_where_it_is_there() -> None:
    async def story() -> None:
        world = World()
        assert await world.refuse() is True
        assert world.state() is State.CLOSED
        world.go_away()
        assert await world.refuse() is False
        assert world.state() is State.OPEN
        assert world.servers[0].trouble == "nobody there"
        await world.endpoints.close()

    play(story)


def test_a_refusal_that_was_on_its_way_leaves_a_trial_alone() -> None:
    async def story() -> None:
        world = World()
        async with world.endpoints.place() as late:
            world.go_away()
            await world.fail()
            world.come_back()
            await world.pass_time(60)
            trial = Held(world)
            await world.settle()
            world.go_away()
            assert await world.endpoints.refused(late) is False
            assert world.state() is State.HALF_OPEN
            world.come_back()
            await trial.finish()
        await world.pass_time(60)
        assert world.state() is State.CLOSED

    play(story)


def test_waiting_is_of_no_use_where_every_server_refuses_the_key() -> None:
    async def story() -> None:
        world = World(servers=2, patience=1e9)
        world.go_away(0, refuses_key=True)
        assert await world.refuse() is False
        world.go_away(1)
        assert await world.refuse() is False
        waiting = Held(world)
        await world.settle()
        assert not waiting.task.done()  # the other one may come back
        world.go_away(1, refuses_key=True)
        await world.pass_time(60)
        with pytest.raises(JudgeGone, match=r"the judge cannot be asked: http://0/v1: nobody there; http://1/v1: nobody there"):
            await waiting.task
        await world.endpoints.close()

    play(story)


def test_a_failure_of_a_server_that_refuses_the_key_is_told_as_that() -> None:
    async def story() -> None:
        world = World(patience=1e9)
        world.go_away(refuses_key=True)
        assert await world.fail() is False
        with pytest.raises(JudgeGone, match="cannot be asked: http://0/v1: nobody there"):
            await world.reply()
        await world.endpoints.close()

    play(story)


def test_those_who_wait_are_told_at_once_that_the_key_is_refused() -> None:
    async def story() -> None:
        world = World(servers=2, patience=1e9, are_seen=False)
        for number in (0, 1):
            world.go_away(number, refuses_key=True)
        with pytest.raises(JudgeGone, match="cannot be asked"):
            await world.reply()
        await world.endpoints.close()

    play(story)


def test_an_old_failure_is_no_silence() -> None:
    async def story() -> None:
        world = World(patience=100.0)
        assert await world.fail() is True  # it is there, and its breaker stays closed
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


def test_patience_runs_from_when_the_last_server_goes() -> None:
    async def story() -> None:
        world = World(servers=2, patience=100.0)
        world.go_away(0)
        await world.fail()
        world.now += 3600
        world.go_away(1)
        await world.fail()
        waiting = Held(world)
        await world.pass_time(60)
        assert not waiting.task.done()
        world.now += 60
        with pytest.raises(JudgeGone):
            await world.reply()
        waiting.task.cancel()
        await world.endpoints.close()

    play(story)


def test_returns_without_a_reply_use_up_patience() -> None:
    async def story() -> None:
        world = World(patience=100.0)
        world.go_away()
        await world.fail()
        for _ in range(4):  # back as far as a probe can tell, but no trial succeeds
            world.come_back()
            await world.pass_time(30)
            world.go_away()
            with suppress(JudgeGone):
                await world.fail()
        with pytest.raises(JudgeGone):
            await world.reply()
        await world.endpoints.close()

    play(story)
