"""One request on a connection and its answer: uvicorn's cycle, which writes an answer's head together with its body.

A plain answer is one write, one packet and one waking of the client, where uvicorn makes two; so are the pieces of a
stream that are there at the same moment. Headers are checked all at once instead of one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_HEADER = b"%b: %b\r\n"
_UNSAFE = bytes([code for code in (*range(32), 127) if code != ord("\t")])
ON_LEAVE = "sightline.on_leave"
"""ASGI extension: a function that takes what is to be called when the client is gone, or None for nothing any more.

It is called once the body has been handed on, or as more of that is asked for: what reads no body, like a DELETE, is
carried out although its client does not wait.
"""
_WITHOUT_BODY = frozenset({204, 304})
_MOST_TOGETHER_BYTES = 65_536


class Cycle(RequestResponseCycle):
    """Takes ASGI's messages and writes HTTP/1.1."""

    body: bytes | bytearray  # type: ignore[assignment]  # a body that comes in one piece is handed on uncopied
    _head = b""  # of an answer whose body has not begun
    _leaving: Callable[[], None] | None = None
    _is_read = False  # the body is handed on whole
    _pieces: list[bytes] | None = None  # of a body that comes in pieces: those of the same moment go out together
    _pieces_bytes = 0
    _is_framed = True

    def add(self, piece: bytes) -> None:
        """Take a piece of the request's body."""
        if not self.body:
            self.body = piece
            return
        if isinstance(self.body, bytes):
            self.body = bytearray(self.body)
        self.body += piece

    def on_leave(self, call: Callable[[], None] | None) -> None:
        """Have `call` called when the client is gone; None: nobody wants to know any more."""
        self._leaving = call

    def leave(self) -> None:
        """The client is gone."""
        self.disconnected, self.waiting_for_100_continue = True, False
        self.message_event.set()
        if self._leaving is not None and self._is_read:
            self._leaving()

    async def receive(self) -> Any:
        """A body that is there whole, at once; else as uvicorn."""
        is_over = self.disconnected or self.response_complete or self.waiting_for_100_continue
        if not self.body or self.more_body or is_over:
            message: Any = await super().receive()
            if message["type"] == "http.request" and not message["more_body"]:
                self._body_is_read()
            elif self.disconnected and not self._is_read and self._leaving is not None:
                self._leaving()
                await asyncio.sleep(0)  # the request's task ends here
            return message
        body, self.body = self.body, b""
        self.message_event.clear()
        self._body_is_read()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    def _body_is_read(self) -> None:
        self._is_read = True
        self.flow.resume_reading()  # else the client's end is not seen

    async def send(self, message: Any) -> None:
        """Take the head of the answer, or a piece of its body.

        Raises:
            RuntimeError: a header that would break the answer apart, or another body than was announced.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self.response_started, self.waiting_for_100_continue = True, False
            self._head = self._begin(message["status"], [*self.default_headers, *message["headers"]])
        elif self.response_complete:
            raise RuntimeError("The answer is complete already.")
        else:
            self._write(message.get("body", b""), message.get("more_body", False))

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        named = dict(headers)
        length = named.get(b"content-length")
        if length is not None:
            self.expected_content_length, self.chunked_encoding = int(length), False
        is_closing = named.get(b"connection") == b"close"
        if is_closing:
            self.keep_alive = False
        head = STATUS_LINE[status] + _HEADER * len(headers) % tuple(chain.from_iterable(headers))
        if len(head) - len(head.translate(None, _UNSAFE)) != len(b"\r\n") * (1 + len(headers)):
            raise RuntimeError("A header has a control character in it.")
        if not (self.keep_alive or is_closing):
            head += b"connection: close\r\n"
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
            self.chunked_encoding = True
            self._is_framed = self.scope["http_version"] != "1.0"  # that knows no chunks: the connection's end ends it
            if self._is_framed:
                head += b"transfer-encoding: chunked\r\n"
        return head + b"\r\n"

    def _write(self, body: bytes, more: bool) -> None:
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            if more and not head and self._pieces_bytes + len(body) <= _MOST_TOGETHER_BYTES:
                self._put_off(body)
                return
            body = self._joined(body) + (b"" if more or not self._is_framed else b"0\r\n\r\n")
        else:
            self.expected_content_length -= len(body)
        if self.expected_content_length < 0 or (self.expected_content_length and not more):
            raise RuntimeError("The body is not as long as its content-length says.")
        if head or body:
            self.transport.write(head + body)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not (self.keep_alive or self.more_body):
                self.transport.close()
            self.on_response()

    def _put_off(self, body: bytes) -> None:
        """Write a piece once everything that is ready now has run: what else is there by then goes with it."""
        if self._pieces is None:
            self._pieces = []
        if not self._pieces:
            asyncio.get_running_loop().call_soon(self._write_pieces)
        self._pieces.append(body)
        self._pieces_bytes += len(body)

    def _write_pieces(self) -> None:
        if self._pieces and not self.disconnected and not self.transport.is_closing():
            self.transport.write(self._joined(b""))

    def _joined(self, body: bytes) -> bytes:
        """The pieces that were put off and this one, as one chunk of the body."""
        if self._pieces:
            body = b"".join([*self._pieces, body])
            self._pieces.clear()
            self._pieces_bytes = 0
        return b"%x\r\n%b\r\n" % (len(body), body) if body and self._is_framed else body
