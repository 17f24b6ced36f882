"""What is asked of the servers before anything else, and what their owner is told when they are not well."""

import asyncio
import json
import logging
import re
from dataclasses import replace

import pytest

from pipeline.refine.endpoints import JudgeGone, Missing
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


def test_a_dummy_key_is_not_taken_out_of_the_models_name() -> None:
    with HostileServer(models=["qwen/judge-a"], key="judge") as server:
        assert ask(server.url, key="judge") == "qwen/judge-a"
    with HostileServer(models=["the-long-secret", "b"], key="the-long-secret") as server:
        assert ask(server.url, model="the-long-secret", key="the-long-secret") == "the-long-secret"
        with pytest.raises(ValueError, match=rf"{server.url} serves \*\*\*, b"):
            ask(server.url, key="the-long-secret")


def test_a_server_that_refuses_the_key_beside_one_that_takes_it_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with HostileServer(key="sk-another-key") as strict, HostileServer() as server, caplog.at_level(logging.WARNING):
        assert ask(strict.url, server.url) == MODEL
        assert f"asked without {strict.url}: it refuses the key (401): set GLORIA_JUDGE_API_KEY" in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ALL_PROXY", "socks5://host:1", "ImportError"),
        ("SSL_CERT_FILE", "/there/is/no/such/file", "FileNotFoundError"),
        ("http_proxy", "strange://host:1", "strange"),
    ],
)
def test_an_environment_that_is_of_no_use_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(JudgeGone, match=rf"no connection can be made: .*{told}.*; look at .*{name}"):
        ask(NOBODY)


def test_an_environment_with_a_password_is_named_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "strange://user:secret@host:1")
    with pytest.raises(JudgeGone, match="ALL_PROXY") as error:
        http_client(SERVER)
    assert "secret" not in str(error.value)


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
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Token: of-another-server\nX-Request-Id: of-another-server")
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
        (html_200, "it is not JSON .*; it begins with Please log in"),
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
        with pytest.raises(JudgeGone, match=told) as error:
            asyncio.run(served_model([server.url], None, NO_KEY, times))
        assert "Start one" not in str(error.value)  # there is something already

        async def look() -> Missing | None:
            async with http_client(times) as http:
                return await what_is_missing(connect(server.url, NO_KEY, http), MODEL, times, Redaction(NO_KEY, []))

        missing = asyncio.run(look())
        assert missing is not None
        assert re.search(told, missing.message)


def test_a_server_that_came_back_with_another_model_is_not_back() -> None:
    async def look(url: str, model: str) -> Missing | None:
        async with http_client(SERVER) as http:
            return await what_is_missing(connect(url, NO_KEY, http), model, SERVER, Redaction(NO_KEY, []))

    with HostileServer(models=["a"]) as server:
        assert asyncio.run(look(server.url, "a")) is None
        assert asyncio.run(look(server.url, "b")) == Missing("it serves a now, not b")
    with HostileServer(key="k") as server:
        assert asyncio.run(look(server.url, "a")) == Missing("it refuses the key (401): set GLORIA_JUDGE_API_KEY", refuses_key=True)


def test_an_address_is_told_without_what_is_secret() -> None:
    assert address("https://user:secret@host:8443/v1?token=abc#x") == "https://host:8443/v1"


def test_a_port_that_cannot_be_is_named() -> None:
    with pytest.raises(JudgeGone, match="port must be 0-65535"):
        ask("http://127.0.0.1:99999/v1")


def test_what_speaks_another_language_is_told() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()
        writer.close()

    async def act() -> None:
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            await served_model([f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"], None, NO_KEY, SERVER)

    with pytest.raises(JudgeGone, match=r"the judge cannot be asked: .*RemoteProtocolError") as error:
        asyncio.run(act())
    assert "Start one" not in str(error.value)


def test_what_is_no_address() -> None:
    with pytest.raises(ValueError, match="no URL"):
        ask("http://host:port/v1")
