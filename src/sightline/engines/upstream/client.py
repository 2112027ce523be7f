"""HTTP to upstream servers: one connection pool, bodies out, answers in as they arrive.

aiohttp: of the clients that are kept well, the fastest that ends a connection when a request is cancelled while it
waits for the head of its answer. Its exceptions end here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from multidict import CIMultiDict
from yarl import URL

LARGEST_ANSWER_BYTES = 32 << 20
_ERROR_BYTES = 16_384
_KEPT_S = 3  # servers close idle connections after 5 seconds (uvicorn, and so vLLM): be first
_STALE_S = 0.02
_NO_ANSWER = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class Unreachable(Exception):
    """No connection could be made: the request was not sent."""


class Broken(Exception):
    """The connection ended, or what came over it is no HTTP, before the answer was whole."""


class Reply:
    """The answer to one request; its body is read once."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.is_stream = response.content_type == "text/event-stream"
        self._response = response

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield what has arrived, as it arrives.

        Raises:
            Broken: the body was cut.
        """
        content = self._response.content
        try:
            while data := await content.readany():
                yield data
        except (aiohttp.ClientError, OSError) as error:
            raise Broken from error

    async def body(self, limit: int = LARGEST_ANSWER_BYTES) -> bytes:
        """Read the whole body.

        Raises:
            Broken: it was cut, or is larger than `limit`.
        """
        try:
            data = await self._response.read() if self._is_within(limit) else b""
        except (aiohttp.ClientError, OSError) as error:
            raise Broken from error
        if not self._is_within(limit) or len(data) > limit:
            raise Broken
        return data

    async def error(self) -> bytes:
        """Read the beginning of the body of a refusal."""
        try:
            return await self._response.content.read(_ERROR_BYTES)
        except (aiohttp.ClientError, OSError):
            return b""

    def _is_within(self, limit: int) -> bool:
        return (self._response.content_length or 0) <= limit


class Client:
    """Sends requests to one server. `key` goes into a header and nowhere else."""

    def __init__(self, url: str, key: str | None, connect_s: float) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._places: dict[str, URL] = {}
        self._headers = CIMultiDict({"content-type": "application/json"})
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s)
        self._has_kept = False
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def send(self, method: str, path: str, body: bytes | None = None) -> AsyncIterator[Reply]:
        """Send a request; leaving before its answer is read to the end closes the connection at once.

        Raises:
            Unreachable, Broken: see there.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=False,
                auto_decompress=False,
                skip_auto_headers=("accept-encoding", "user-agent"),
            )
        place = self._places.get(path) or self._places.setdefault(path, URL(self.url + path, encoded=True))
        try:
            response = await self._request(self._session, method, place, body)
        except _NO_ANSWER as error:
            raise Unreachable from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Broken from error
        try:
            yield Reply(response)
        finally:
            if response.content.at_eof():
                self._has_kept = True
                response.release()
            else:
                response.close()

    async def _request(
        self, session: aiohttp.ClientSession, method: str, place: URL, body: bytes | None
    ) -> aiohttp.ClientResponse:
        """Send, and once more where the connection was one kept from before that the server had closed meanwhile."""
        send = partial(session.request, method, place, data=body, headers=self._headers, allow_redirects=False)
        clock = asyncio.get_running_loop().time
        began_s = clock()
        try:
            return await send()
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, _NO_ANSWER) or not self._has_kept or clock() - began_s > _STALE_S:
                raise
        return await send()
