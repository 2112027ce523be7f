"""HTTP to the servers of one pool, on aiohttp. Its exceptions become `Failure`s here, nowhere else.

Certificates are verified, redirects are not followed, cookies are not kept, bodies are taken as they come.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace

import aiohttp

from sightline.engines.upstream.failures import Failure, Reason

MAX_BODY_BYTES = 32 << 20
_MAX_ERROR_BYTES = 16_384
KEEPALIVE_S = 3.0  # servers close idle connections after 5 seconds (uvicorn, and so vLLM): be first
_STALE_S = 1.0
"""That a server has closed a kept connection meanwhile shows within a round trip; later it was at work."""
_OWN_HEADERS = ("Accept", "Accept-Encoding", "User-Agent")

Pieces = Sequence[bytes | memoryview]


TRANSLATIONS: dict[type[Exception], Reason] = {
    aiohttp.ClientConnectorError: "connect_error",  # with all that DNS and TLS have to say
    aiohttp.ConnectionTimeoutError: "connect_error",
    aiohttp.ServerFingerprintMismatch: "connect_error",
    aiohttp.InvalidURL: "connect_error",
    aiohttp.NonHttpUrlClientError: "connect_error",
    aiohttp.RedirectClientError: "reset",
    aiohttp.ClientConnectionError: "reset",
    aiohttp.ClientPayloadError: "reset",
    aiohttp.ClientResponseError: "reset",
    aiohttp.UploadAbortedError: "reset",
    OSError: "reset",
}
"""What each family of exceptions means; of several the first in a class's own order counts."""


def translate(error: Exception) -> Failure:
    """Return what an exception of aiohttp means of the upstream."""
    return Failure(next(TRANSLATIONS[kind] for kind in type(error).__mro__ if kind in TRANSLATIONS))


class Response:
    """The response to one request; leaving its `with` before the body is read ends the connection, and so the work."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection unless the body has come whole. Twice does no harm."""
        self._response.close()

    async def read(self) -> bytes:
        """Return what has arrived since the last time, as soon as there is anything; nothing at the end.

        Raises:
            Failure: the body was cut.
        """
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise translate(error) from error

    async def body(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """Return the whole body.

        Raises:
            Failure: it was cut, or is larger than `limit`.
        """
        pieces: list[bytes] = []
        size_bytes = 0
        while data := await self.read():
            pieces.append(data)
            size_bytes += len(data)
            if size_bytes > limit:
                raise Failure("reset")
        return b"".join(pieces)

    async def error(self) -> bytes:
        """Return the beginning of the body of a refusal."""
        try:
            return (await self.read())[:_MAX_ERROR_BYTES]
        except Failure:
            return b""


class Client:
    """Sends requests. `key` goes into a header and nowhere else. `trust_env`: proxies of the environment are used."""

    _session: aiohttp.ClientSession

    def __init__(self, key: str | None, connect_timeout_s: float, *, trust_env: bool = False) -> None:
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout_s)
        self._trust_env = trust_env

    def open(self) -> None:
        """Make the session, within a running event loop; nothing is connected yet."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            skip_auto_headers=_OWN_HEADERS,
            timeout=self._timeout,
            auto_decompress=False,  # nothing asks for compression
            trace_configs=[trace],
            trust_env=self._trust_env,
        )

    async def close(self) -> None:
        """End every connection."""
        await self._session.close()

    async def send(self, method: str, url: str, body: Pieces | None = None) -> Response:
        """Send a request and return the response as soon as its head has come; cancelling ends the connection.

        Raises:
            Failure: no connection could be made, or it ended before the response was whole.
        """
        while True:
            # aiohttp sends only idempotent requests again by itself.
            attempt, sent_at = SimpleNamespace(is_reused=False), time.monotonic()
            try:
                return Response(
                    await self._session.request(
                        method,
                        url,
                        data=None if body is None else _each(body),
                        headers=None if body is None else _headers(body),
                        allow_redirects=False,
                        trace_request_ctx=attempt,
                    )
                )
            except (aiohttp.ClientError, OSError) as error:
                is_lost = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
                if not (is_lost and attempt.is_reused and time.monotonic() - sent_at < _STALE_S):
                    raise translate(error) from error


def _headers(body: Pieces) -> dict[str, str]:
    return {"Content-Length": str(sum(map(len, body))), "Content-Type": "application/json"}


async def _each(body: Pieces) -> AsyncIterator[bytes | memoryview]:
    """For aiohttp, which writes one after the other: an image of megabytes is not copied."""
    for piece in body:
        yield piece


async def _note_reuse(
    _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.is_reused = True
