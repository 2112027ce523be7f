"""HTTP/1.1 to upstream servers: connections that are kept, bodies out, answers in as they arrive.

httptools' parser on the loop's own transports, as the server side has it. The clients that are kept well (aiohttp,
httpx) take longer for a request than all the rest of us; the quickest (pyreqwest) cannot end one whose answer has not
begun. What no such client needs is left out: redirects, cookies, compression, proxies, HTTP/2.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

LARGEST_ANSWER_BYTES = 32 << 20
_MOST_HEAD_BYTES = 65_536
_MOST_HELD_BYTES = 262_144
"""What nobody has read of an answer; beyond it the server has to wait."""
_ERROR_BYTES = 16_384
_KEPT_S = 3.0  # servers close idle connections after 5 seconds (uvicorn, and so vLLM): be first
_STALE_S = 0.02
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_FRAMING_LENGTHS = frozenset(map(len, _FRAMING))


class Unreachable(Exception):
    """No connection could be made: the request was not sent."""


class Broken(Exception):
    """The connection ended, or what came over it is no HTTP, before the answer was whole."""


class Reply:
    """The answer to one request; its body is read once, by one reader."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.has_come = False
        """Whether anything of it has."""
        self.is_whole = False
        self._is_cut = False
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._is_paused = False
        self._news: asyncio.Future[None] | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for more of it."""
        return self._news is not None and not self._news.done()

    async def head(self) -> None:
        """Return when the status is there.

        Raises:
            Broken: the connection ended before.
        """
        while not self.status:
            if self._is_cut:
                raise Broken
            await self._wait()

    async def read(self) -> bytes:
        """What has arrived since the last time, as soon as there is anything; nothing at the end.

        Raises:
            Broken: the body was cut.
        """
        while not self._pieces:
            if self.is_whole:
                return b""
            if self._is_cut:
                raise Broken
            await self._wait()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    async def body(self, limit: int = LARGEST_ANSWER_BYTES) -> bytes:
        """Read the whole body.

        Raises:
            Broken: it was cut, or is larger than `limit`.
        """
        pieces: list[bytes] = []
        size_bytes = 0
        while data := await self.read():
            size_bytes += len(data)
            if size_bytes > limit:
                raise Broken
            if self.is_whole and not pieces:
                return data
            pieces.append(data)
        return b"".join(pieces)

    async def error(self) -> bytes:
        """Read the beginning of the body of a refusal."""
        try:
            return (await self.read())[:_ERROR_BYTES]
        except Broken:
            return b""

    def begin(self, status: int) -> None:
        """Its head has come."""
        self.status = status
        self._wake()

    def add(self, data: bytes) -> None:
        """A piece of its body has come."""
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _MOST_HELD_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def end(self) -> None:
        """All of it has come."""
        self.is_whole = not self._is_cut
        self._wake()

    def cut(self) -> None:
        """No more of it will come."""
        self._is_cut = not self.is_whole
        self._wake()

    def _wait(self) -> asyncio.Future[None]:
        self._news = self._loop.create_future()
        return self._news

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class Connection(asyncio.Protocol):
    """A connection to a server, for one request at a time."""

    transport: asyncio.Transport

    def __init__(self, open_ones: set[Connection], loop: asyncio.AbstractEventLoop) -> None:
        self.idle_since_s = 0.0
        self._loop = loop
        self._open_ones = open_ones
        self._reply: Reply | None = None
        self._parser = HttpResponseParser(self)
        self._head_bytes = 0
        self._unfinished_bytes = 0  # since the parser last made something of them
        self._says_where_it_ends = self._is_good = False

    def ask(self, message: Sequence[bytes | memoryview]) -> Reply:
        """Send a request; what comes back goes into the reply."""
        self._reply = Reply(self.transport, self._loop)
        self._head_bytes = self._unfinished_bytes = 0
        self._says_where_it_ends = self._is_good = False
        self.transport.writelines(message)
        return self._reply

    def is_reusable(self) -> bool:
        """Whether another request can be sent: the answer came whole and was read, and the request went out whole."""
        transport = self.transport
        is_open = transport.is_reading() and not transport.is_closing()
        return self._is_good and is_open and not transport.get_write_buffer_size()

    def rest(self) -> None:
        """Nothing is to come any more, until it is asked again."""
        self._reply = None
        self.idle_since_s = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._open_ones.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the event loop. An answer that does not say where it ends has come to its end."""
        self._open_ones.discard(self)
        if self._reply is not None:
            if error is None and self._reply.status and not self._says_where_it_ends:
                self._reply.end()
            else:
                self._reply.cut()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with what has arrived, cut anywhere."""
        if self._reply is None:
            self.transport.abort()  # nobody has asked
            return
        self._reply.has_come = True
        self._unfinished_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._give_up()
        else:
            if self._unfinished_bytes > _MOST_HEAD_BYTES:
                self._give_up()

    def _give_up(self) -> None:
        self._is_good = False
        self.transport.abort()
        if self._reply is not None:
            self._reply.cut()

    def on_message_begin(self) -> None:
        """Called by the parser: an answer begins. Of two to one request the second is nobody's."""
        if self._is_good:
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser; of trailers as well."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > _MOST_HEAD_BYTES:
            raise ValueError("a head without end")
        if len(name) in _FRAMING_LENGTHS and name.lower() in _FRAMING:
            self._says_where_it_ends = True

    def on_headers_complete(self) -> None:
        """Called by the parser: what says only that the answer is still to come (1xx) is passed over."""
        self._unfinished_bytes = 0
        status = self._parser.get_status_code()
        if status >= 200 and self._reply is not None:
            self._reply.begin(status)

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        self._unfinished_bytes = 0
        if self._reply is not None:
            self._reply.add(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._unfinished_bytes = 0
        if self._reply is not None and self._reply.status:
            self._is_good = self._parser.should_keep_alive()
            self._reply.end()


class Client:
    """Sends requests to one server. `key` goes into a header and nowhere else."""

    def __init__(self, url: str, key: str | None, connect_s: float) -> None:
        """Take the server's address apart; nothing is connected yet. The settings have checked address and key."""
        self.url = url.rstrip("/").removesuffix("/v1")
        parts = urlsplit(self.url)
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._host = parts.hostname or ""
        self._path = parts.path
        self._headers = f" HTTP/1.1\r\nhost: {parts.netloc}\r\n" + (f"authorization: Bearer {key}\r\n" if key else "")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connect_s = connect_s
        self.running = 0
        """Requests that have been sent and are not done."""
        self._open_ones: set[Connection] = set()
        self._idle: deque[Connection] = deque()  # the one that has rested for longest comes first
        self._timer: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """End every connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._idle.clear()
        for connection in list(self._open_ones):
            connection.transport.abort()

    def send(self, method: str, path: str, body: Sequence[bytes | memoryview] | None = None) -> Sending:
        """Send a request, its body in pieces, for the length of an `async with`.

        Leaving before its answer is read to the end closes the connection at once.

        Raises (as it is entered):
            Unreachable, Broken: see there.
        """
        head = f"{method} {self._path}{path}{self._headers}"
        if body is None:
            return Sending(self, [f"{head}\r\n".encode("ascii")])
        size_bytes = len(body[0]) if len(body) == 1 else sum(map(len, body))
        head = f"{head}content-type: application/json\r\ncontent-length: {size_bytes}\r\n\r\n"
        return Sending(self, [head.encode("ascii"), *body])

    async def connect(self) -> Connection:
        """Make a connection.

        Raises:
            Unreachable: it could not be made in time.
        """
        loop = asyncio.get_running_loop()
        connection = Connection(self._open_ones, loop)
        try:
            async with asyncio.timeout(self._connect_s):
                await loop.create_connection(lambda: connection, self._host, self._port, ssl=self._tls)
        except BaseException as error:
            self._open_ones.discard(connection)  # uvloop does not say that it lost one that was given up as it was made
            if isinstance(error, OSError):  # TimeoutError is one, and so is what TLS has to say
                raise Unreachable from error
            raise
        return connection

    def kept(self) -> Connection | None:
        """A connection from before that may still be open."""
        oldest_s = time.monotonic() - _KEPT_S
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since_s > oldest_s and not connection.transport.is_closing():
                return connection
            connection.transport.abort()
        return None

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request, for a while."""
        connection.rest()
        self._idle.append(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_KEPT_S, self._sweep)

    def _sweep(self) -> None:
        oldest_s = time.monotonic() - _KEPT_S
        while self._idle and self._idle[0].idle_since_s <= oldest_s:
            self._idle.popleft().transport.close()
        self._timer = asyncio.get_running_loop().call_later(_KEPT_S, self._sweep) if self._idle else None


class Sending:
    """A request on its way: `async with` gives its `Reply` as soon as that has a status. Leaving twice does no harm."""

    __slots__ = ("_client", "_connection", "_message", "_reply")

    def __init__(self, client: Client, message: Sequence[bytes | memoryview]) -> None:
        self._client = client
        self._message = message
        self._connection: Connection | None = None

    async def __aenter__(self) -> Reply:
        kept = self._client.kept()
        while True:
            reply, began_s = self._ask(kept or await self._client.connect()), time.monotonic()
            try:
                await reply.head()
            except BaseException as error:
                self.leave()
                # The server had closed it meanwhile, most likely; what it has begun to answer is not sent twice.
                is_stale = kept is not None and isinstance(error, Broken) and not reply.has_come
                if not is_stale or time.monotonic() - began_s > _STALE_S:
                    raise
                kept = None
            else:
                return reply

    def _ask(self, connection: Connection) -> Reply:
        self._connection, self._reply = connection, connection.ask(self._message)
        self._client.running += 1
        return self._reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Keep the connection for the next request if all of the answer was read, else close it at once."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._client.running -= 1
        if self._reply.is_whole and connection.is_reusable():
            self._client.keep(connection)
        else:
            connection.transport.abort()
