"""A connection: uvicorn's HTTP protocol, with an end to its patience and a limit to what it buffers.

uvicorn waits for ever for a head, for a body that nobody reads and for a client that does not read its answer, and
keeps a head of any size. Here each of these has a limit. Deadlines are two numbers that `close_overdue` compares
twice a second for all connections at once, so that a request pays for no timer. What is no HTTP is refused in
OpenAI's shape.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Collection
from functools import lru_cache
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from sightline.api.body import first_headers
from sightline.api.cycle import ON_LEAVE, Cycle
from sightline.api.failures import response_of
from sightline.corked import Corked
from sightline.errors import HeadTooLarge, MalformedHttp, RequestTimeout, ServiceError, UploadRefused
from sightline.ids import new_id
from sightline.log import get_logger
from sightline.settings import ServerSettings

log = get_logger(__name__)

_NEVER = math.inf
_SWEEP_S = 0.5
_AT_ONCE = 5  # a thousand connections may be overdue at once, and others wait meanwhile
_PAUSE_S = 0.0005
_LOOKED_AT_AT_ONCE = 500
_GRACE_S = 2.0  # a body that is late is answered by `Intake`; what nobody reads any more is closed here
_LINGER_S = 2.0
_MAX_HEADERS = 100
_MAX_PIPELINED = 8
_PIPELINED_UNPAUSED = 3
"""So many wait before nothing more is read: who does not read does not see that a client has left, either."""
_MOST_UNREAD_BYTES = 262_144
"""Of a body of which more is to come; beyond it the client has to wait. uvloop reads a little less at once: a body that
is read as it comes is never stopped and started again."""
_SEND_BUFFER_BYTES = 131_072
"""Of an answer that is not read, so much waits in the system, which would take megabytes a connection."""


def _parts(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, path as it was sent, and query of a request's address."""
    parsed = parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


_USUAL_URL_BYTES = 128
_usual_parts = lru_cache(maxsize=256)(_parts)  # of the routes that everybody asks for


def protocol_of(settings: ServerSettings) -> type[Connection]:
    """The protocol for `uvicorn.Config(http=…)`, with these limits."""
    return type("Connection", (Connection,), {"settings": settings})


async def close_overdue(connections: Collection[Any]) -> None:
    """Close connections whose deadline has passed, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_SWEEP_S)
        now_s, slow, closed = loop.time(), 0, 0
        every = list(connections)
        for at in range(0, len(every), _LOOKED_AT_AT_ONCE):
            for connection in every[at : at + _LOOKED_AT_AT_ONCE]:
                # Asked only now: it may have gone on while others were closed.
                if connection.read_due_s > now_s and connection.write_due_s > now_s:
                    continue
                slow += not connection.is_idle
                connection.expire()
                closed += 1
                if closed % _AT_ONCE == 0:
                    await asyncio.sleep(_PAUSE_S)
            await asyncio.sleep(0)
        if slow:
            log.info("slow_clients", overdue=slow, connections=len(connections))


class Connection(HttpToolsProtocol):
    """One client's connection. `read_due_s` and `write_due_s` are in the loop's time."""

    settings: ClassVar[ServerSettings] = ServerSettings()
    cycle: Cycle  # the latest request's
    transport: Corked

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head; refuse a connection too many."""
        super().connection_made(Corked(transport, self.loop))
        self.read_due_s = self.loop.time() + self.settings.head_s
        self.write_due_s = _NEVER
        self._answering: Cycle | None = None
        self.is_idle = self._is_receiving = self._is_in_head = self._is_deaf = False
        self._undelivered_bytes = 0
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if len(self.connections) > self.settings.max_connections:
            self._refuse(UploadRefused("Too many connections are open here. Try again in a moment.", retry_after_s=1))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered, which is not uvicorn's latest when requests are pipelined."""
        super().connection_lost(exc)
        if self._is_busy() and self._answering is not None:
            self._answering.leave()

    def data_received(self, data: bytes) -> None:
        """Parse what has come; refuse what is no request, or more of a head than is allowed."""
        if self._is_deaf:
            return
        if self.is_idle or self.read_due_s == _NEVER:
            self.is_idle = False
            self.read_due_s = self.loop.time() + self.settings.head_s
        self._undelivered_bytes += len(data)
        try:
            self._feed(data)
        except HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, ServiceError) else MalformedHttp("This is no HTTP/1.1 request."))
        else:
            if self._undelivered_bytes > self.settings.max_head_bytes:
                self._refuse(self._head_too_large())
            elif self._unread_bytes() > _MOST_UNREAD_BYTES:
                self.flow.pause_reading()

    def _unread_bytes(self) -> int:
        """How many bytes of a body of which more is to come wait for the application; of one that it has answered
        without reading it none do."""
        is_wanted = self._is_receiving and not self._is_in_head and not self.cycle.response_complete
        return len(self.cycle.body) if is_wanted else 0

    def eof_received(self) -> None:
        """The client sends no more. uvloop closes the connection then: an answer that is written goes out first."""
        self.transport.uncork()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as offer:
            # Another protocol was offered. The request is answered as any other, and the connection ends.
            framing = self._framing()
            if framing is None:
                self._is_deaf = True
                return
            # The parser takes the body for the other protocol. Java's client offers HTTP/2 with every first request.
            self.parser = HttpRequestParser(_Body(self))
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b: %b\r\n\r\n" % framing)
            self.parser.feed_data(data[offer.args[0] :])

    def _framing(self) -> tuple[bytes, bytes] | None:
        """The header by which a body's end is known; None for a request without a body."""
        names = (b"content-length", b"transfer-encoding")
        return next((header for header in self.scope["headers"] if header[0] in names), None)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_receiving = self._is_in_head = True
        if self.read_due_s == _NEVER:  # several requests in one piece
            self.read_due_s = self.loop.time() + self.settings.head_s

    def on_url(self, url: bytes) -> None:
        """Part of the request's address."""
        self.url += url
        if len(self.url) > self.settings.max_head_bytes:
            raise self._head_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body: those are dropped, for the request has begun without them."""
        headers = self.headers
        headers.append((name.lower(), value))
        if len(headers) > _MAX_HEADERS:
            raise self._head_too_large()

    def _check_head(self) -> None:
        """Refuse more bytes of address and headers than are allowed: asked once, for clients send twenty headers."""
        headers = self.headers
        between = len(b": \r\n") * len(headers)
        if len(self.url) + sum(map(len, chain.from_iterable(headers))) + between > self.settings.max_head_bytes:
            raise self._head_too_large()

    def on_headers_complete(self) -> None:
        """Start the request, or let it wait for those before it."""
        self._check_head()
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise MalformedHttp(f"More than {_MAX_PIPELINED} requests wait on this connection.")
        self._is_in_head = False
        self.headers = []  # trailers
        self._undelivered_bytes = 0
        self.read_due_s = self.loop.time() + self.settings.body_s + _GRACE_S
        self._describe()
        before, self.cycle = self.cycle, self._new_cycle()
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.pipeline.appendleft((self.cycle, self.app))
            if len(self.pipeline) >= _PIPELINED_UNPAUSED:
                self.flow.pause_reading()

    def _describe(self) -> None:
        """Put what the request's line says into ASGI's scope."""
        scope: Any = self.scope
        if b"expect" in first_headers(scope):
            expected = [value.lower() for name, value in scope["headers"] if name == b"expect"]
            self.expect_100_continue = b"100-continue" in expected
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = self.parser.get_http_version()
        parts = _usual_parts(self.url) if len(self.url) <= _USUAL_URL_BYTES else _parts(self.url)
        scope["path"], scope["raw_path"], scope["query_string"] = parts

    def _new_cycle(self) -> Cycle:
        parser = self.parser
        keep_alive = self.scope["http_version"] != "1.0" and parser.should_keep_alive() and not parser.should_upgrade()
        cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        scope: Any = self.scope
        scope["extensions"] = {ON_LEAVE: cycle.on_leave}
        return cycle

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._undelivered_bytes = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.add(body)
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole. One that was answered before it was leaves the connection idle now."""
        if self.parser.should_upgrade() and self._framing() is not None:
            return  # its body comes yet: `_feed`
        if self.headers:
            self._check_head()
            self.headers = []
        self._is_receiving = False
        self._undelivered_bytes = 0
        self.read_due_s = _NEVER
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()
        if not self._is_busy() and not self.transport.is_closing():
            self._rest()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        super().pause_writing()
        self.write_due_s = self.loop.time() + self.settings.write_s

    def resume_writing(self) -> None:
        """It has read most of what was waiting."""
        super().resume_writing()
        self.write_due_s = _NEVER

    def on_response_complete(self) -> None:
        """The answer is written: wait for the next request, or for the client to have read what it is to have read."""
        self.server_state.total_requests += 1
        if len(self.tasks) < 2:
            self.transport.uncork()  # nobody else is answered in this turn
        if self.transport.is_closing():
            self._give_last_deadline()
            return
        if self._answering is not None and not self._answering.keep_alive:  # it was answered before its body was there
            self._linger()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._rest()

    def _rest(self) -> None:
        """Wait for another request for as long as a connection is kept without one."""
        self.is_idle = True
        self.read_due_s = self.loop.time() + self.settings.keep_alive_s

    def _give_last_deadline(self) -> None:
        """uvloop closes a connection when all is read, and waits for that without end."""
        self.write_due_s = min(self.write_due_s, self.loop.time() + self.settings.write_s)

    def expire(self) -> None:
        """Do what a deadline that has passed asks for."""
        now_s = self.loop.time()
        if self.write_due_s <= now_s or self.transport.is_closing():
            self.transport.abort()
        elif self.flow.read_paused:
            self.read_due_s = now_s + self.settings.body_s  # it is we who do not read
        elif not self._is_busy():
            self._end_idle()
        elif self._is_receiving and self.cycle is self._answering:
            self.transport.abort()
        elif self._is_receiving:
            self.read_due_s = now_s + self.settings.body_s  # of a later request, which has its turn when this is over
        else:
            self.read_due_s = _NEVER  # only line breaks have come since the last request

    def _end_idle(self) -> None:
        if self._is_in_head and not self._is_deaf:
            seconds = f"{self.settings.head_s:g}"
            self._refuse(RequestTimeout(f"The request's head did not arrive within {seconds} seconds."))
        elif self._is_deaf:
            self.transport.abort()
        else:
            self.transport.close()
            self._give_last_deadline()

    def _is_busy(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _head_too_large(self) -> HeadTooLarge:
        return HeadTooLarge(
            f"The request's line and headers are over the limit of {self.settings.max_head_bytes:,} bytes "
            f"or {_MAX_HEADERS} headers; send less of them."
        )

    def _refuse(self, error: ServiceError) -> None:
        """Listen to this client no more, and say why unless that would fall into the middle of an answer."""
        self._is_deaf = True
        answering = self._answering
        if answering is not None and not answering.response_complete:
            if not answering.more_body:  # the bytes behind it are bad: it is answered all the same, and is the last
                answering.keep_alive = False
                self.read_due_s = _NEVER
                return
            answering.leave()
            if answering.response_started:
                self.transport.abort()
                return
        self._say(error)
        self._linger()

    def _linger(self) -> None:
        """End the connection from this side; closing at once could take the answer from a client that still sends."""
        self._is_deaf = True
        self.flow.resume_reading()
        self.transport.write_eof()
        self.read_due_s = self.loop.time() + _LINGER_S

    def _say(self, error: ServiceError) -> None:
        response = response_of(error)
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", new_id("req_").encode()),
            (b"openai-processing-ms", b"0"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[error.status], *lines, b"\r\n", bytes(response.body)]))
        log.info("refused", status=error.status, code=error.code)


class _Body:
    """Hears of the body of a request that offered another protocol, and of nothing behind it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_whole = False

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        if not self._is_whole:
            self._connection.on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        if not self._is_whole:
            self._is_whole = True
            self._connection.on_message_complete()
