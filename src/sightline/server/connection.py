"""A connection: uvicorn's HTTP protocol with deadlines, and with a limit to what it buffers.

uvicorn waits for ever for a head, for a body that nobody reads and for a client that does not read its answer, and
keeps a head of any size. Here each of these has a limit. `close_overdue` compares the deadlines of all connections
twice a second, so that a request pays for no timer. What is no HTTP is refused in OpenAI's shape.

Reaches into uvicorn's `HttpToolsProtocol` (its parser's callbacks, `_start_asgi_task`) and its `RequestResponseCycle`:
pyproject.toml bounds uvicorn's version, and `tests/test_pinned_versions.py` holds the installed one to it.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable, Collection
from typing import Any, ClassVar

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from sightline.errors import HeadTooLarge, MalformedHttp, RequestTimeout, ServiceError, UploadRefused
from sightline.ids import new_id
from sightline.log import get_logger
from sightline.settings import ServerSettings

log = get_logger(__name__)

_NEVER = math.inf
_SWEEP_S = 0.5
_GRACE_S = 2.0
"""After `body_timeout_s`, by which time the body budget has answered; what nobody reads any more is closed here."""
_LINGER_S = 2.0
_MAX_HEADERS = 100
_MAX_PIPELINED = 8
_PIPELINED_UNPAUSED = 3
_SEND_BUFFER_BYTES = 131_072
"""Of an answer that is not read, so much waits in the system, which would take megabytes a connection."""


def connection_class(settings: ServerSettings, error_response: Callable[[ServiceError], Response]) -> type[Connection]:
    """The protocol for `uvicorn.Config(http=…)` with these limits; `error_response` makes the body of a refusal."""
    members = {"settings": settings, "error_response": staticmethod(error_response)}
    return type("Connection", (Connection,), members)


async def close_overdue(connections: Collection[Any]) -> None:
    """Close connections whose deadline has passed, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_SWEEP_S)
        slow = 0
        for connection in list(connections):
            # Asked only now: it may have gone on while others were closed.
            if min(connection.read_due_s, connection.write_due_s) <= loop.time():
                slow += not connection.is_idle
                connection.expire()
                await asyncio.sleep(0)  # a thousand may be overdue at once
        if slow:
            log.info("slow_clients", overdue=slow, connections=len(connections))


class Connection(HttpToolsProtocol):
    """One client's connection. `read_due_s` and `write_due_s` are in the loop's time."""

    settings: ClassVar[ServerSettings] = ServerSettings()
    error_response: ClassVar[Callable[[ServiceError], Response]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head; refuse a connection too many."""
        super().connection_made(transport)
        self.read_due_s = self.loop.time() + self.settings.header_timeout_s
        self.write_due_s = _NEVER
        self._answering: RequestResponseCycle | None = None  # the latest cycle is another where requests are pipelined
        self.is_idle = self._is_receiving = self._is_in_head = self._is_closing = False
        self._head_bytes = 0
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        if len(self.connections) > self.settings.max_connections:
            self._refuse(UploadRefused("Too many connections are open here. Try again in a moment.", retry_after_s=1))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered, too."""
        super().connection_lost(exc)
        if self._answering is not None:
            _disconnect(self._answering)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; refuse what is no request, or more of a head than is allowed."""
        if self._is_closing:
            return
        self._unset_keepalive_if_required()
        if self.is_idle or self.read_due_s == _NEVER:
            self.is_idle = False
            self.read_due_s = self.loop.time() + self.settings.header_timeout_s
        self._head_bytes += len(data)
        try:
            self._feed(data)
        except HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, ServiceError) else MalformedHttp("This is no HTTP/1.1 request."))
        else:
            if self._head_bytes > self.settings.max_head_bytes:
                self._refuse(self._head_too_large())

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as offer:
            # Another protocol was offered, as Java's client does with HTTP/2. The request is answered as any other,
            # and the connection ends. The parser takes the body for the other protocol, so a new one reads it.
            framing = next((header for header in self.scope["headers"] if header[0] in _FRAMING), None)
            if framing is None:
                self._is_closing = True
                return
            self.parser = HttpRequestParser(_OfferedBody(self))
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b: %b\r\n\r\n" % framing)
            self.parser.feed_data(data[offer.args[0] :])

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_receiving = self._is_in_head = True
        if self.read_due_s == _NEVER:  # several requests in one piece
            self.read_due_s = self.loop.time() + self.settings.header_timeout_s

    def on_url(self, url: bytes) -> None:
        """Part of the request's address."""
        super().on_url(url)
        if len(self.url) > self.settings.max_head_bytes:
            raise self._head_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body: those are dropped, for the request has begun without them."""
        super().on_header(name, value)
        if len(self.headers) > _MAX_HEADERS:
            raise self._head_too_large()

    def on_headers_complete(self) -> None:
        """Start the request, or let it wait for those before it."""
        self._check_head()
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise MalformedHttp(f"More than {_MAX_PIPELINED} requests wait on this connection.")
        self._is_in_head = False
        self._head_bytes = 0
        self.read_due_s = self.loop.time() + self.settings.body_timeout_s + _GRACE_S
        super().on_headers_complete()
        self.headers = []  # trailers
        self.cycle.transport = _CycleTransport(self)  # type: ignore[assignment]  # all that a cycle uses of one
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False
        if len(self.pipeline) < _PIPELINED_UNPAUSED:
            self.flow.resume_reading()  # else it is not seen when the client disconnects

    def _check_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)
        if size > self.settings.max_head_bytes:
            raise self._head_too_large()

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, but for the body of one that offered another protocol."""
        if self.parser.should_upgrade() and any(name in _FRAMING for name, _ in self.scope["headers"]):
            return
        self._check_head()  # with its trailers
        self._is_receiving = False
        self._head_bytes = 0
        super().on_message_complete()
        self.is_idle = not self._is_busy()  # it was answered before its body was whole
        self.read_due_s = self.loop.time() + self.settings.keep_alive_timeout_s if self.is_idle else _NEVER

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        super().pause_writing()
        self.write_due_s = self.loop.time() + self.settings.write_timeout_s

    def resume_writing(self) -> None:
        """It has read most of what was waiting."""
        super().resume_writing()
        self.write_due_s = _NEVER

    def on_response_complete(self) -> None:
        """The answer is written: uvicorn goes on with the next request, or waits for one."""
        self.is_idle = not self._is_receiving
        if self.transport.is_closing():  # once all is read, for which uvloop waits without end
            self.write_due_s = min(self.write_due_s, self.loop.time() + self.settings.write_timeout_s)
        elif not self._is_closing:
            super().on_response_complete()

    def close(self) -> None:
        """End the connection; of a client that still sends, from this side: else it could lose the answer."""
        if self._is_receiving:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        self._is_closing = True
        self.flow.resume_reading()
        self.transport.write_eof()
        self.read_due_s = self.loop.time() + _LINGER_S

    def expire(self) -> None:
        """Do what a deadline that has passed asks for."""
        now_s = self.loop.time()
        is_ours = self._is_receiving and self.cycle is self._answering
        if self.write_due_s <= now_s or self.transport.is_closing() or self._is_closing:
            self.transport.abort()
        elif self.flow.read_paused:
            self.read_due_s = now_s + self.settings.body_timeout_s  # it is we who do not read
        elif self._is_in_head and not self._is_busy():
            seconds = f"{self.settings.header_timeout_s:g}"
            self._refuse(RequestTimeout(f"The request's head did not arrive within {seconds} seconds."))
        elif is_ours or not self._is_busy():
            self.transport.abort()
        elif self._is_receiving:
            self.read_due_s = (
                now_s + self.settings.body_timeout_s
            )  # of a later request, which has its turn when this is over
        else:
            self.read_due_s = _NEVER  # only line breaks have come since the last request

    def _is_busy(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _head_too_large(self) -> HeadTooLarge:
        return HeadTooLarge(
            f"The request's line and headers are over the limit of {self.settings.max_head_bytes:,} bytes "
            f"or {_MAX_HEADERS} headers; send less of them."
        )

    def _refuse(self, error: ServiceError) -> None:
        """Listen to this client no more, and say why unless that would fall into the middle of an answer."""
        self._is_closing = True
        answering = self._answering
        if answering is not None and not answering.response_complete:
            if not answering.more_body:  # the bytes behind it are bad: it is answered all the same, and is the last
                answering.keep_alive = False
                self.read_due_s = _NEVER
                return
            _disconnect(answering)
            if answering.response_started:
                self.transport.abort()
                return
        self._write_error(error)
        self._linger()

    def _write_error(self, error: ServiceError) -> None:
        response = type(self).error_response(error)
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", new_id("req_").encode()),
            (b"openai-processing-ms", b"0"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[error.status], *lines, b"\r\n", bytes(response.body)]))
        log.info("refused", status=error.status, code=error.code)


_FRAMING = (b"content-length", b"transfer-encoding")


def _disconnect(cycle: RequestResponseCycle) -> None:
    """Tell a request that its client is gone, as uvicorn tells the latest one."""
    cycle.disconnected, cycle.waiting_for_100_continue = True, False
    cycle.message_event.set()


class _CycleTransport:
    """What a cycle writes to; one that is to end the connection leaves how to the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        """Send a part of the answer."""
        self._connection.transport.write(data)

    def is_closing(self) -> bool:
        """Whether the connection has ended or is about to."""
        return self._connection.transport.is_closing()

    def close(self) -> None:
        """End the connection behind what was written."""
        self._connection.close()


class _OfferedBody:
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
