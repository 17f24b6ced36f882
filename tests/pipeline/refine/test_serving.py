"""What is asked of the servers before anything else, and what their owner is told when they are not well."""

import asyncio
import json
import logging
from dataclasses import replace

import pytest

from pipeline.refine.endpoints import JudgeGone
from pipeline.refine.options import ServerOptions
from pipeline.refine.redaction import NO_KEY, Redaction
from pipeline.refine.serving import address, connect, http_client, served_model, what_is_missing
from tests.pipeline.refine.hostile_server import MODEL, Exchange, Fault, HostileServer, hang, html_200, html_500, huge, status

SERVER = ServerOptions(connect_seconds=2.0, timeout_seconds=2.0, largest_reply=10_000)
NOBODY = "http://127.0.0.1:9/v1"


def ask(*urls: str, model: str | None = None, key: str = NO_KEY) -> str:
    return asyncio.run(served_model(urls, model, key, SERVER))


def listing(content: object) -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.respond(200, json.dumps(content).encode())

    return fault


def test_the_model_that_is_served_is_taken() -> None:
    with HostileServer() as server:
        assert ask(server.url) == MODEL
        assert ask(server.url + "/", model=MODEL) == MODEL
        assert server.probes == 2


def test_without_any_server_it_is_said_how_to_start_one() -> None:
    with pytest.raises(JudgeGone, match=r"there is no judge: http://127\.0\.0\.1:9/v1: ConnectError") as error:
        ask(NOBODY)
    assert "python -m vllm.entrypoints.openai.api_server --model" in str(error.value)
    assert "docs/refinement.md" in str(error.value)


def test_one_server_of_two_is_enough_and_the_other_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with HostileServer() as server, caplog.at_level(logging.WARNING):
        assert ask(NOBODY, server.url) == MODEL
    assert "asked without http://127.0.0.1:9/v1: ConnectError" in caplog.text


def test_another_model_than_the_one_that_is_wanted() -> None:
    with HostileServer(models=["a", "b"]) as server, pytest.raises(ValueError, match=rf"the model c is not served by {server.url}: {server.url} serves a, b"):
        ask(server.url, model="c")


def test_one_of_several_must_be_named() -> None:
    with HostileServer(models=["a", "b"]) as server:
        with pytest.raises(ValueError, match=rf"say which model .* {server.url} serves a, b"):
            ask(server.url)
        assert ask(server.url, model="b") == "b"


def test_servers_must_have_the_same_model() -> None:
    with HostileServer(models=["a"]) as one, HostileServer(models=["b"]) as other:
        with pytest.raises(ValueError, match=rf"{one.url} serves a; {other.url} serves b"):
            ask(one.url, other.url)
        with pytest.raises(ValueError, match=rf"the model a is not served by {other.url}"):
            ask(one.url, other.url, model="a")


def test_the_key_is_sent_and_never_told() -> None:
    with HostileServer(key="sk-the-right-one") as server:
        assert ask(server.url, key="sk-the-right-one\n") == MODEL
        with pytest.raises(JudgeGone, match=rf"{server.url}: it refuses the key \(401\): set GLORIA_JUDGE_API_KEY") as error:
            ask(server.url, key="sk-the-wrong-one")
        assert "sk-" not in str(error.value)


def test_keys_meant_for_others_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "of-another-server")
    seen: list[dict[str, str]] = []

    async def look(exchange: Exchange) -> None:
        seen.append(exchange.request.headers)
        await listing({"data": [{"id": "a"}]})(exchange)

    with HostileServer(models_fault=look) as server:
        assert ask(server.url) == "a"
    assert seen[0]["authorization"] == "Bearer EMPTY"
    assert "of-another-server" not in str(seen)


def test_user_and_password_of_an_address_are_sent_as_a_header_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def look(exchange: Exchange) -> None:
        seen.append(exchange.request.headers["authorization"])
        await html_500(exchange)

    with HostileServer(models_fault=look) as server, caplog.at_level(logging.DEBUG):
        url = server.url.replace("http://", "http://user:pass%20word@")
        with pytest.raises(JudgeGone) as error:
            ask(url)
    assert seen == ["Basic dXNlcjpwYXNzIHdvcmQ="]
    for told in (str(error.value), caplog.text):
        assert "127.0.0.1" in told
        assert "pass" not in told
        assert "dXNl" not in told


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (html_500, "500: Internal error"),
        (html_200, "it is not JSON"),
        (status(404), "mostly in /v1"),
        (hang, "no reply in time"),
        (huge(2**20), "larger than 10,000 bytes"),
        (listing({"data": []}), "it lists no models"),
        (listing({"data": None}), "it lists no models"),
        (listing({"data": ["a", {"id": 7}]}), "it lists no models"),
        (listing(["a"]), "not a JSON object"),
    ],
)
def test_a_server_that_is_no_judge(fault: Fault, told: str) -> None:
    times = replace(SERVER, connect_seconds=0.1) if fault is hang else SERVER
    with HostileServer(models_fault=fault) as server:
        with pytest.raises(JudgeGone, match=told):
            asyncio.run(served_model([server.url], None, NO_KEY, times))

        async def look() -> str | None:
            async with http_client(times) as http:
                return await what_is_missing(connect(server.url, NO_KEY, http), MODEL, times, Redaction(NO_KEY, []))

        missing = asyncio.run(look())
        assert missing is not None
        assert told in missing


def test_a_server_that_came_back_with_another_model_is_not_back() -> None:
    async def look(url: str, model: str) -> str | None:
        async with http_client(SERVER) as http:
            return await what_is_missing(connect(url, NO_KEY, http), model, SERVER, Redaction(NO_KEY, []))

    with HostileServer(models=["a"]) as server:
        assert asyncio.run(look(server.url, "a")) is None
        assert asyncio.run(look(server.url, "b")) == "it serves a now, not b"


def test_an_address_is_told_without_what_is_secret() -> None:
    assert address("https://user:secret@host:8443/v1?token=abc#x") == "https://host:8443/v1"


def test_what_is_no_address() -> None:
    with pytest.raises(ValueError, match="no URL"):
        ask("http://host:port/v1")
