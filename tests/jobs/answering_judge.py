"""A judge on this machine that answers every question, in a thread of its own, and counts. It can stop answering, and go away and return."""

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Self

from aiohttp import web

from schemas.answers import CLASSES

MODEL = "answering/judge-1"
FIELDS = {field for field, _ in CLASSES.values()}


def agree(_: str, stated: str) -> str:
    """Says what the classifier said."""
    return stated


def contrary(request_id: str, stated: str) -> str:
    """Now this, now that, but always the same of the same question."""
    return ("happy" if stated not in ("front", "left", "right", "back") else "left") if int(request_id, 16) % 3 == 0 else stated


class AnsweringJudge:
    """A context manager; serves on a free port, the same one after ``restart``.

    Attributes:
        name: what it says of a request_id and a stated class.
        requests: how often each request_id came.
        answered: how often each was answered, as far as the last byte.
        headers: of every request.
        under_way: requests that are there and not answered; those of a client that is gone count until that is noticed.
        held: is set as soon as it keeps one waiting.
        shuffle: answer in another order than asked.
        refuses: answers 400 to everything, as a server does that is not set up for such requests.
        hold_after: answers after which it keeps requests waiting; None: never.
    """

    def __init__(self, name: Callable[[str, str], str] = agree, hold_after: int | None = None, shuffle: bool = False) -> None:
        self.name = name
        self.shuffle = shuffle
        self.refuses = False
        self.hold_after = hold_after
        self.requests: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.under_way = 0
        self.held = threading.Event()
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="answering judge", daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        self._call(self._start())

    def stop(self) -> None:
        """Go away, with all that is under way."""
        self._call(self._stop())

    def release(self) -> None:
        """Answer what waits, and all that comes."""
        self.hold_after = None
        self._loop.call_soon_threadsafe(self._open.set)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        self._open = asyncio.Event()
        application = web.Application(client_max_size=2**26)
        application.add_routes([web.get("/v1/models", self._models), web.post("/v1/chat/completions", self._chat)])
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "tests"}]})

    async def _chat(self, request: web.Request) -> web.Response:
        self.under_way += 1
        try:
            return await self._answer(request)
        finally:
            self.under_way -= 1

    async def _answer(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        body = await request.json()
        properties = body["response_format"]["json_schema"]["schema"]["properties"]
        request_id = properties["request_id"]["const"]
        self.requests[request_id] += 1
        if self.hold_after is not None and self.answered.total() >= self.hold_after:
            self.held.set()
            await self._open.wait()
        if self.refuses:
            return web.json_response({"error": {"message": "At most 1 image(s) may be provided", "code": 400}}, status=400)
        if self.shuffle:
            await asyncio.sleep(int(request_id, 16) % 7 * 0.02)
        self.answered[request_id] += 1
        content = json.dumps({name: self._value(name, form, request_id, body) for name, form in properties.items()})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        usage = {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340}
        return web.json_response({"id": "chat", "object": "chat.completion", "created": 0, "model": MODEL, "choices": [choice], "usage": usage})

    def _value(self, name: str, form: dict[str, Any], request_id: str, body: dict[str, Any]) -> Any:
        if "const" in form:
            return form["const"]
        if name in FIELDS:
            said = "\n".join(part["text"] for part in body["messages"][-1]["content"] if part["type"] == "text")
            stated = [word for word in re.findall(r'"(\w+)"', said) if word in form["enum"]]
            return self.name(request_id, stated[0] if stated else "front")
        if name == "certainty":
            return 3 + int(request_id, 16) % 3
        return {"same_person": "yes", "camera": "static"}.get(name, "no" if "enum" in form else f"Something about the {name}.")
