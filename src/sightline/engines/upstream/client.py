"""HTTP to the servers of one pool, on aiohttp. Its exceptions become `ConnectError` and `ReadError` here, nowhere else.

Certificates are verified, redirects are not followed, cookies are not kept, bodies are taken as they come.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from sightline.engines.upstream.failures import Failure

MAX_BODY_BYTES = 32 << 20
_MAX_ERROR_BYTES = 16_384
KEEPALIVE_S = 3.0  # servers close idle connections after 5 seconds (uvicorn, and so vLLM): be first
_STALE_S = 1.0
"""That a server has closed a kept connection meanwhile shows within a round trip; later it was at work."""
_OWN_HEADERS = ("Accept", "Accept-Encoding", "User-Agent")

Pieces = Sequence[bytes | memoryview]


class ConnectError(Failure):
    """No connection could be made: the request was not sent."""

    def __init__(self) -> None:
        super().__init__("connect_error")


class ReadError(Failure):
    """The connection ended, or what came over it is no HTTP, before the response was whole."""

    def __init__(self) -> None:
        super().__init__("reset")


TRANSLATIONS: dict[type[Exception], type[ConnectError] | type[ReadError]] = {
    aiohttp.ClientConnectorError: ConnectError,  # with all that DNS and TLS have to say
    aiohttp.ConnectionTimeoutError: ConnectError,
    aiohttp.ServerFingerprintMismatch: ConnectError,
    aiohttp.InvalidURL: ConnectError,
    aiohttp.NonHttpUrlClientError: ConnectError,
    aiohttp.RedirectClientError: ReadError,
    aiohttp.ClientConnectionError: ReadError,
    aiohttp.ClientPayloadError: ReadError,
    aiohttp.ClientResponseError: ReadError,
    aiohttp.UploadAbortedError: ReadError,
    OSError: ReadError,
}
"""What each family of exceptions means; of several the first in a class's own order counts."""


def translate(error: Exception) -> Failure:
    """Return what an exception of aiohttp means of the upstream."""
    return next(TRANSLATIONS[kind] for kind in type(error).__mro__ if kind in TRANSLATIONS)()


class JsonPayload(aiohttp.Payload):
    """A JSON body in pieces, which aiohttp writes one after the other: an image of megabytes is not copied."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__(pieces, content_type="application/json")
        self._pieces = pieces
        self._size = sum(map(len, pieces))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return b"".join(self._pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body."""
        for piece in self._pieces:
            await writer.write(piece)


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
            ReadError: the body was cut.
        """
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise translate(error) from error

    async def body(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """Return the whole body.

        Raises:
            ReadError: it was cut, or is larger than `limit`.
        """
        pieces: list[bytes] = []
        size_bytes = 0
        while data := await self.read():
            pieces.append(data)
            size_bytes += len(data)
            if size_bytes > limit:
                raise ReadError
        return b"".join(pieces)

    async def error(self) -> bytes:
        """Return the beginning of the body of a refusal."""
        try:
            return (await self.read())[:_MAX_ERROR_BYTES]
        except ReadError:
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
            ConnectError, ReadError: see there.
        """
        data = None if body is None else JsonPayload(body)
        while True:
            attempt = _Attempt()
            try:
                return Response(
                    await self._session.request(
                        method, url, data=data, allow_redirects=False, trace_request_ctx=attempt
                    )
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not attempt.is_stale():
                    raise translate(error) from error
            except (aiohttp.ClientError, OSError) as error:
                raise translate(error) from error


class _Attempt:
    """One attempt to send a request; aiohttp sends only idempotent ones again by itself."""

    def __init__(self) -> None:
        self.is_reused = False
        self._began_at = time.monotonic()

    def is_stale(self) -> bool:
        """Whether it failed because the server had closed the connection before."""
        return self.is_reused and time.monotonic() - self._began_at < _STALE_S


async def _note_reuse(_: aiohttp.ClientSession, context: Any, __: aiohttp.TraceConnectionReuseconnParams) -> None:
    context.trace_request_ctx.is_reused = True
