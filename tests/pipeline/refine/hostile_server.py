"""A judge on this machine that speaks HTTP from raw sockets, knows the right answers, and misbehaves where it is told to.

It tells rows apart by what it sees, the last picture's bytes, and not by what it is told in ids: so a verdict that ends at another row is
noticed. Faults are given per row, one for each request about it; when they are used up, the right answer follows.
"""

import asyncio
import base64
import gzip
import json
import socket
import struct
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

T = TypeVar("T")

MODEL = "hostile/judge-1"


def right_answer(row: str, schema: dict[str, Any]) -> dict[str, Any]:
    """What the judge sees in a row's picture, in the form of a schema: a word of each enum by the row's name alone."""
    return {name: _value(f"{row}/{name}", form) for name, form in schema["properties"].items()}


def _value(name: str, form: dict[str, Any]) -> Any:
    if "const" in form:
        return form["const"]
    if "enum" in form:
        return form["enum"][zlib.crc32(name.encode()) % len(form["enum"])]
    return f"Something about {name.replace('/', ' ')}."


@dataclass(frozen=True)
class Request:
    """A chat request as it came.

    Attributes:
        row: the last picture's bytes as text.
        number: of the request among those about this row, from 1.
        request_id: that the answer must have.
        body: as sent.
        headers: lower-case names.
    """

    row: str
    number: int
    request_id: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = self.body["response_format"]["json_schema"]["schema"]
        return schema

    @property
    def text(self) -> str:
        return json.dumps(right_answer(self.row, self.schema))


@dataclass
class Exchange:
    """A request and the way back."""

    server: "HostileServer"
    request: Request
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.server.bytes_sent[self.request.row] += len(data)

    async def respond(self, status: int, body: bytes, kind: str = "application/json", length: int | None = None, headers: dict[str, str] | None = None) -> None:
        await self.send(head(status, kind, len(body) if length is None else length, headers or {}) + body)

    async def complete(self, content: str | None, finish_reason: str = "stop", **message: Any) -> None:
        await self.respond(200, envelope(self.request, content, finish_reason, **message))

    async def reset(self) -> None:
        """Close with a reset instead of an end."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise ConnectionResetError


def envelope(request: Request, content: str | None, finish_reason: str = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content} | message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 100 + len(request.row), "completion_tokens": len(content or ""), "total_tokens": 0}
    return json.dumps({"id": "chat", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}).encode()


def head(status: int, kind: str, length: int, headers: dict[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} -",
        f"content-type: {kind}",
        f"content-length: {length}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


Fault = Callable[[Exchange], Awaitable[None]]


def status(code: int, message: str = "so it is", headers: dict[str, str] | None = None) -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.respond(code, json.dumps({"error": {"message": message, "code": code}}).encode(), headers=headers)

    return fault


def says(change: Callable[[Request], str | None], finish_reason: str = "stop", **message: Any) -> Fault:
    """The reply of a healthy server around the words of a model that has lost its way."""

    async def fault(exchange: Exchange) -> None:
        await exchange.complete(change(exchange.request), finish_reason, **message)

    return fault


async def html_500(exchange: Exchange) -> None:
    await exchange.respond(500, b"<html><body><h1>Internal error</h1></body></html>", "text/html")


async def html_200(exchange: Exchange) -> None:
    await exchange.respond(200, b"<html><body>Please log in</body></html>", "text/html")


async def reset_in_mid_body(exchange: Exchange) -> None:
    body = envelope(exchange.request, exchange.request.text)
    await exchange.respond(200, body[:40], length=len(body))
    await exchange.reset()


async def end_in_mid_body(exchange: Exchange) -> None:
    body = envelope(exchange.request, exchange.request.text)
    await exchange.respond(200, body[:40], length=len(body))
    raise ConnectionError


async def hang(exchange: Exchange) -> None:
    await exchange.server.forever.wait()
    raise ConnectionError


async def trickle(exchange: Exchange) -> None:
    """A byte now and then, so that no reading ever takes long."""
    await exchange.respond(200, b"", length=10**6)
    while not exchange.server.forever.is_set():
        await exchange.send(b" ")
        await asyncio.sleep(0.02)


async def cut_envelope(exchange: Exchange) -> None:
    await exchange.respond(200, envelope(exchange.request, exchange.request.text)[:-30])


async def no_choices(exchange: Exchange) -> None:
    await exchange.respond(200, json.dumps({"object": "chat.completion", "model": MODEL, "choices": []}).encode())


def huge(size: int, status: int = 200) -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.respond(status, b"", length=size)
        piece = b" " * 2**16
        for _ in range(size // len(piece)):
            await exchange.send(piece)

    return fault


def huge_compressed(size: int) -> Fault:
    body = gzip.compress(b" " * size)

    async def fault(exchange: Exchange) -> None:
        await exchange.respond(200, body, headers={"content-encoding": "gzip"})

    return fault


def another_id(request: Request) -> str:
    return json.dumps(json.loads(request.text) | {"request_id": "0123456789abcdef"})


def another_schema(request: Request) -> str:
    return json.dumps({"request_id": request.request_id, "action": "He walks away.", "appearance": "He is tall.", "scene": "It is dark.", "camera": "static"})


def control_characters(request: Request) -> str:
    return request.text.replace('"no"', '"no\x07"', 1)


def escaped_control_characters(request: Request) -> str:
    return request.text.replace('"no"', '"no\\u0007"', 1)


def duplicated_key(request: Request) -> str:
    return request.text[:-1] + ', "certainty": 1}'


def half(request: Request) -> str:
    return request.text[: len(request.text) // 2]


def thinking(request: Request) -> str:
    return f"<think>A face, I would say.</think>\n{request.text}"


def lone_surrogate(request: Request) -> str:
    return request.text[:-1] + ', "more": "\ud83d"}'


class Swap:
    """Holds two requests and answers each with the answer to the other."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Exchange, asyncio.Future[bytes]]] = []

    async def __call__(self, exchange: Exchange) -> None:
        mine = envelope(exchange.request, exchange.request.text)
        if self._waiting:
            other, theirs = self._waiting.pop()
            theirs.set_result(mine)
            await exchange.respond(200, envelope(other.request, other.request.text))
        else:
            answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._waiting.append((exchange, answer))
            await exchange.respond(200, await answer)


class InOrder:
    """Holds the requests about some rows until all are there, then answers them in a given order of rows."""

    def __init__(self, order: Sequence[str]) -> None:
        self._arrived: set[str] = set()
        self._turns = {row: asyncio.Event() for row in order}
        self._order = list(order)

    async def __call__(self, exchange: Exchange, then: Fault | None = None) -> None:
        row = exchange.request.row
        self._arrived.add(row)
        if len(self._arrived) == len(self._order):
            self._turns[self._order[0]].set()
        await self._turns[row].wait()
        await (then or right)(exchange)
        after = self._order.index(row) + 1
        if after < len(self._order):
            self._turns[self._order[after]].set()


async def right(exchange: Exchange) -> None:
    await exchange.complete(exchange.request.text)


async def list_models(exchange: Exchange) -> None:
    models = [{"id": model, "object": "model"} for model in exchange.server.models]
    await exchange.respond(200, json.dumps({"object": "list", "data": models}).encode())


@dataclass
class HostileServer:
    """Runs in a thread of its own, as a context manager.

    Attributes:
        faults: by row, for its first, second … request.
        always: by row, for all requests after those.
        models: that it lists.
        models_fault: instead of that list.
        key: without which nobody is served.
        crowd: requests that are held until so many are there, once; 0: none.
        requests: that came.
        probes: how often it was asked for its models.
        in_flight: chat requests between their last byte and the reply's.
        most_in_flight: at any time.
        bytes_sent: by row.
    """

    faults: dict[str, list[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)
    models: list[str] = field(default_factory=lambda: [MODEL])
    models_fault: Fault | None = None
    key: str | None = None
    crowd: int = 0
    requests: list[Request] = field(default_factory=list)
    probes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    bytes_sent: Counter[str] = field(default_factory=Counter)
    port: int = 0

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hostile server", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._numbers: defaultdict[str, int] = defaultdict(int)

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
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Listen; the second time on the same port as the first."""
        self._call(self._start())

    def stop(self) -> None:
        """Stop listening and drop every connection, as a process that is killed does."""
        self._call(self._stop())

    def requests_about(self, row: str) -> list[Request]:
        return [request for request in self.requests if request.row == row]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        self.forever = asyncio.Event()
        self._crowded = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.forever.set()
            for writer in list(self._connections):
                writer.transport.abort()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if self.key is not None and headers.get("authorization") != f"Bearer {self.key}":
                    await status(401, "Unauthorized")(Exchange(self, Request("nobody", 0, "", {}, headers), writer))
                elif lines[0].startswith("GET /v1/models "):
                    self.probes += 1
                    await (self.models_fault or list_models)(Exchange(self, Request("models", self.probes, "", {}, headers), writer))
                elif lines[0].startswith("POST /v1/chat/completions "):
                    await self._chat(json.loads(body), headers, writer)
                else:
                    writer.write(head(404, "application/json", 22, {}) + b'{"detail":"Not Found"}')
        self._connections.discard(writer)
        writer.close()

    async def _chat(self, body: dict[str, Any], headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
        request = self._read(body, headers)
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.in_flight >= self.crowd:
            self._crowded.set()
        try:
            await self._crowded.wait()
            faults = self.faults.get(request.row)
            fault = faults.pop(0) if faults else self.always.get(request.row, right)
            await fault(Exchange(self, request, writer))
        finally:
            self.in_flight -= 1

    def _read(self, body: dict[str, Any], headers: dict[str, str]) -> Request:
        pictures = [
            part["image_url"]["url"]
            for message in body["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
            if "image_url" in part
        ]
        row = base64.b64decode(pictures[-1].partition(",")[2]).decode()
        self._numbers[row] += 1
        schema = body["response_format"]["json_schema"]["schema"]
        return Request(row, self._numbers[row], schema["properties"]["request_id"]["const"], body, headers)
