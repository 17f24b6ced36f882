"""A reply is read as far as an answer can reach, counted at the wire and after decompression."""

import asyncio
import gzip
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from pipeline.refine.transport import BoundedClient, ReplyTooLargeError

LARGEST = 100_000
GZIP = {"content-encoding": "gzip"}


class Pieces(httpx2.AsyncByteStream):
    """A body that counts how much of it is taken."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.taken += len(piece)
            yield piece

    async def aclose(self) -> None:
        self.closed = True


def endless(piece: bytes = b"x" * 8192) -> Iterator[bytes]:
    while True:
        yield piece


def read(stream: httpx2.AsyncByteStream, status: int = 200, headers: dict[str, str] | None = None) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        transport = httpx2.MockTransport(lambda _: httpx2.Response(status, headers=headers, stream=stream))
        async with BoundedClient(LARGEST, transport=transport) as client:
            return await client.get("http://judge/v1/models")

    return asyncio.run(ask())


@pytest.mark.parametrize("size", [0, 1, LARGEST])
def test_what_fits_is_given_whole(size: int) -> None:
    body = b"x" * size
    assert read(Pieces(iter([body[:7], body[7:]]))).content == body


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_what_is_compressed_is_given_decompressed(encoding: str, pack: object) -> None:
    assert callable(pack)
    response = read(Pieces(iter([pack(b"y" * LARGEST)])), headers={"content-encoding": encoding})
    assert response.content == b"y" * LARGEST
    assert "content-encoding" not in response.headers


def test_what_is_too_large_is_not_read_to_its_end() -> None:
    stream = Pieces(endless())
    with pytest.raises(ReplyTooLargeError, match="100,000 bytes"):
        read(stream)
    assert stream.taken <= LARGEST + 8192
    assert stream.closed


def test_a_small_body_that_grows_is_not_unpacked_to_its_end() -> None:
    body = gzip.compress(bytes(50 * 2**20), compresslevel=1)
    stream = Pieces(body[at : at + 1024] for at in range(0, len(body), 1024))
    with pytest.raises(ReplyTooLargeError):
        read(stream, headers=GZIP)
    assert stream.taken <= 1024


def test_bytes_that_unpack_to_nothing_are_counted_too() -> None:
    body = gzip.compress(b"end")
    stream = Pieces(part for parts in (iter([body]), endless()) for part in parts)
    with pytest.raises(ReplyTooLargeError):
        read(stream, headers=GZIP)
    assert stream.taken <= LARGEST + 8192


def test_an_error_stays_an_error_however_long_its_page_is() -> None:
    stream = Pieces(endless())
    response = read(stream, status=500)
    assert response.status_code == 500
    assert len(response.content) <= LARGEST
    assert stream.taken <= LARGEST + 8192


def test_a_redirect_is_not_followed() -> None:
    assert read(Pieces(iter([b""])), status=307, headers={"location": "http://elsewhere/v1"}).status_code == 307


def test_this_machine_is_not_looked_for_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Here(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        async def ask() -> int:
            async with BoundedClient(LARGEST) as client:
                return (await client.get(f"http://127.0.0.1:{server.server_port}/")).status_code

        assert asyncio.run(ask()) == 204
        server.shutdown()
