"""The simulated judge behind the API that vLLM and others speak, in a thread of its own."""

import asyncio
import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from benchmarks.refinement.judge import CERTAINTY, SimulatedJudge
from schemas.vocabulary import Agreement, Expression, Flaw

STATED = re.compile(f'"({"|".join(Expression.words())})"')
"""The class that a question is about: the prompt has it in quotation marks below the pictures."""
LARGEST_REQUEST = 2**24


@dataclass
class JudgeServer:
    """A server that is up.

    Attributes:
        judge: who answers; every question.
        url: base URL.
        requests: for an answer, so far.
    """

    judge: SimulatedJudge
    url: str = ""
    requests: int = 0

    async def models(self, _request: web.Request) -> web.Response:
        """GET /v1/models."""
        return web.json_response({"object": "list", "data": [{"id": self.judge.model, "object": "model", "created": 0, "owned_by": "simulated"}]})

    async def chat_completions(self, request: web.Request) -> web.Response:
        """POST /v1/chat/completions."""
        self.requests += 1
        body = await request.json()
        if body.get("model") != self.judge.model:
            return web.json_response({"error": {"message": f"the model is {self.judge.model}", "type": "NotFoundError", "code": 404}}, status=404)
        jpeg, stated, properties = read_question(body)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer(properties, self.judge.name(jpeg, stated))}}
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        reply = {"id": f"chatcmpl-{self.requests}", "object": "chat.completion", "created": int(time.time()), "model": self.judge.model}
        return web.json_response({**reply, "choices": [choice], "usage": usage})


def read_question(body: dict[str, Any]) -> tuple[bytes, Expression, dict[str, Any]]:
    """The picture that is asked about (the last one), the stated class, and the fields that the answer must have.

    Raises:
        ValueError: the request has no picture or states no class.
    """
    parts = body["messages"][-1]["content"]
    pictures = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    stated = STATED.findall("\n".join(part["text"] for part in parts if part["type"] == "text"))
    if not pictures or not stated:
        raise ValueError("the request has no picture or states no class")
    jpeg = base64.b64decode(pictures[-1].partition("base64,")[2])
    return jpeg, Expression.from_word(stated[-1]), body["response_format"]["json_schema"]["schema"]["properties"]


def answer(properties: dict[str, Any], named: Expression) -> str:
    """The answer that the schema asks for: the class, and nothing wrong with the face."""
    values: dict[str, object] = {str(flaw): str(Agreement.NO) for flaw in Flaw}
    values |= {"expression": named.word, "same_person": str(Agreement.YES), "certainty": CERTAINTY}
    return json.dumps({name: field.get("const", values.get(name)) for name, field in properties.items()})


@contextmanager
def serving(judge: SimulatedJudge) -> Iterator[JudgeServer]:
    """A judge's server on a free port of this machine, until the block ends."""
    server, loop = JudgeServer(judge), asyncio.new_event_loop()
    runner = loop.run_until_complete(_start(server))
    thread = threading.Thread(target=loop.run_forever, name="simulated judge", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(server: JudgeServer) -> web.AppRunner:
    application = web.Application(client_max_size=LARGEST_REQUEST)
    application.add_routes([web.get("/v1/models", server.models), web.post("/v1/chat/completions", server.chat_completions)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/v1"
    return runner
