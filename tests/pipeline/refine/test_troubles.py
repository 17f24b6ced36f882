"""Errors are told apart by what is to be done about them."""

import asyncio
import json
import ssl

import httpx2
import openai
import pytest

from pipeline.refine.redaction import Redaction
from pipeline.refine.replies import ReplyError
from pipeline.refine.transport import ReplyTooLargeError
from pipeline.refine.troubles import Trouble, trouble_of
from schemas.vocabulary import PendingReason

REDACTION = Redaction("sk-secret-key-1", [])


def of_error(error: Exception) -> Trouble | None:
    return trouble_of(error, REDACTION)


def through_the_client(answer: httpx2.Response | Exception) -> Trouble:
    """The trouble of an error as the OpenAI client raises it."""

    def handle(_: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask() -> Trouble:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(handle))
        client = openai.AsyncOpenAI(base_url="http://judge/v1", api_key="k", max_retries=0, http_client=http)
        with pytest.raises(openai.APIError) as error:
            await client.models.with_raw_response.list()
        trouble = of_error(error.value)
        assert trouble is not None
        return trouble

    return asyncio.run(ask())


def status(code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Trouble:
    return through_the_client(httpx2.Response(code, content=body, headers=headers))


@pytest.mark.parametrize(
    ("code", "problem", "alive"),
    [
        (408, PendingReason.TIMED_OUT, True),
        (409, PendingReason.SERVER_ERROR, True),
        (429, PendingReason.RATE_LIMITED, True),
        (500, PendingReason.SERVER_ERROR, False),
        (502, PendingReason.SERVER_ERROR, False),
        (503, PendingReason.SERVER_ERROR, False),
    ],
)
def test_statuses_that_are_tried_again(code: int, problem: PendingReason, alive: bool) -> None:
    trouble = status(code)
    assert (trouble.problem, trouble.is_retried, trouble.is_alive, trouble.has_arrived, trouble.is_doubtful) == (problem, True, alive, True, False)
    assert str(code) in trouble.message


@pytest.mark.parametrize("code", [307, 400, 405, 413, 415, 422, 451])
def test_other_statuses_are_of_that_request_alone(code: int) -> None:
    trouble = status(code, json.dumps({"error": {"message": "at most 4 images"}}).encode())
    assert (trouble.problem, trouble.is_retried, trouble.is_alive, trouble.is_doubtful) == (PendingReason.REFUSED, False, True, False)
    assert trouble.message == f"the server answers {code}: at most 4 images"


@pytest.mark.parametrize("code", [401, 403, 404])
def test_what_may_hold_for_all_requests_is_told_in_the_servers_words(code: int) -> None:
    trouble = status(code, b'{"object": "error", "message": "Not for you.", "code": 404}')
    assert (trouble.problem, trouble.is_retried, trouble.is_alive, trouble.is_doubtful) == (PendingReason.REFUSED, False, True, True)
    assert trouble.refuses_key is (code < 404)
    assert trouble.message == f"the server answers {code}: Not for you."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "a"}}', "a"),
        (b'{"error": "b"}', "b"),
        (b'{"message": "c"}', "c"),
        (b'{"detail": "d"}', "d"),
        (b'{"detail": [{"loc": 1}]}', '{"detail": [{"loc": 1}]}'),
        (b"<html><body><h1>Bad gateway</h1></body></html>", "Bad gateway"),
        (b'["e"]', '["e"]'),
    ],
)
def test_the_servers_words_are_found_in_whatever_form(body: bytes, said: str) -> None:
    assert status(400, body).message == f"the server answers 400: {said}"


@pytest.mark.parametrize("said", [b"404: Not Found", b"404 Not Found", b"404 - Not Found", b"Not Found"])
def test_a_status_is_said_once(said: bytes) -> None:
    assert status(404, said).message == "the server answers 404: Not Found"


def test_a_number_that_only_begins_like_the_status_stays() -> None:
    assert status(400, b"4000 tokens are too many").message == "the server answers 400: 4000 tokens are too many"


def test_a_message_has_neither_key_nor_picture() -> None:
    body = json.dumps({"error": {"message": "Bearer sk-secret-key-1 sent data:image/jpeg;base64," + "Zm9v" * 100}}).encode()
    assert status(400, body).message == "the server answers 400: Bearer *** sent data:image/jpeg;base64,…"


def test_retry_after_is_read() -> None:
    assert status(429, headers={"retry-after": "7"}).asked_wait == 7.0
    assert status(503, headers={"retry-after": "3"}).asked_wait == 3.0
    assert status(429).asked_wait is None


@pytest.mark.parametrize(
    ("error", "problem", "arrived"),
    [
        (httpx2.ConnectError("All connection attempts failed"), PendingReason.CONNECTION_LOST, False),
        (httpx2.ReadError("reset"), PendingReason.CONNECTION_LOST, True),
        (httpx2.RemoteProtocolError("peer closed connection"), PendingReason.CONNECTION_LOST, True),
        (httpx2.DecodingError("bad gzip"), PendingReason.CONNECTION_LOST, True),
        (ssl.SSLError("handshake"), PendingReason.CONNECTION_LOST, True),
        (httpx2.ReadTimeout("read"), PendingReason.TIMED_OUT, True),
        (httpx2.ConnectTimeout("connect"), PendingReason.TIMED_OUT, False),
    ],
)
def test_what_the_network_does(error: Exception, problem: PendingReason, arrived: bool) -> None:
    trouble = through_the_client(error)
    assert (trouble.problem, trouble.is_retried, trouble.is_alive, trouble.has_arrived) == (problem, True, False, arrived)


def test_a_group_of_errors_is_what_is_in_it() -> None:
    lost = of_error(ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("", [OverflowError("port must be 0-65535")])]))
    assert lost is not None
    assert (lost.problem, lost.nobody_listens) == (PendingReason.CONNECTION_LOST, True)
    assert lost.message == "OverflowError: port must be 0-65535"


def test_what_is_raised_beside_the_openai_client() -> None:
    deadline, large, unreadable = of_error(TimeoutError()), of_error(ReplyTooLargeError("too large")), of_error(ReplyError("it is not JSON"))
    assert deadline is not None
    assert (deadline.problem, deadline.is_retried) == (PendingReason.TIMED_OUT, True)
    assert large is not None
    assert (large.problem, large.is_retried, large.is_alive) == (PendingReason.TOO_LARGE, False, True)
    assert unreadable is not None
    assert (unreadable.problem, unreadable.is_retried, unreadable.is_alive) == (PendingReason.SERVER_ERROR, True, False)
    assert of_error(KeyError("a bug")) is None
