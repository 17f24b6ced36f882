"""The HTTP client below the chat API: as httpx2's, but a reply is read no further than an answer can be long."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import httpx2

KEPT_SECONDS = 4.0
"""How long an idle connection is kept: less than the 5 s after which vLLM's server drops it, so that no request runs into a closed door."""

HERE = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""Addresses of this machine, which are never looked for behind the proxy of the environment."""


class ReplyTooLargeError(Exception):
    """A reply's body has more bytes than any answer."""


class BoundedClient(httpx2.AsyncClient):
    """An HTTP client that reads replies whole and bounded. Redirects are not followed: they would take the key to another place."""

    def __init__(self, largest_reply: int, **settings: Any) -> None:
        """Set up.

        Args:
            largest_reply: bytes of a body, both as it comes and after decompression.
            settings: of httpx2.AsyncClient.
        """
        super().__init__(mounts=dict.fromkeys(HERE), **settings)
        self._largest = largest_reply

    async def send(self, request: httpx2.Request, *, stream: bool = False, **settings: Any) -> httpx2.Response:
        """Send a request and read the reply; ``stream`` makes no difference.

        Returns:
            The reply with its body read and decompressed. An error's body is cut where it becomes too large.

        Raises:
            ReplyTooLargeError: the rest was not read; the connection is closed.
            httpx2.RequestError: as ever.
        """
        del stream
        response = await super().send(request, stream=True, **settings)
        try:
            content = await self._read(response)
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in {"content-encoding", "content-length", "transfer-encoding"}]
        return httpx2.Response(response.status_code, headers=headers, content=content, request=request, extensions=response.extensions)

    async def _read(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        response.stream = _Bounded(cast(httpx2.AsyncByteStream, response.stream), self._largest)
        try:
            # Decompressed bytes come in pieces of a megabyte at most, so that a small body that grows a thousandfold is noticed in time.
            async with aclosing(response.aiter_bytes()) as pieces:
                async for piece in pieces:
                    content += piece[: self._largest + 1 - len(content)]
                    if len(content) > self._largest:
                        raise ReplyTooLargeError(f"the reply is larger than {self._largest:,} bytes")
        except ReplyTooLargeError:
            if not response.is_error:
                raise
        return bytes(content)


class _Bounded(httpx2.AsyncByteStream):
    """The bytes of a body as they come, up to a number."""

    def __init__(self, stream: httpx2.AsyncByteStream, largest: int) -> None:
        self._stream = stream
        self._largest = largest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._largest
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise ReplyTooLargeError(f"the reply is larger than {self._largest:,} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
