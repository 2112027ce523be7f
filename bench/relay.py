"""The least a relay on our loop and parsers does: what stands in the table of `bench.proxy` as the limit.

Run as a program with the upstream's port; prints its own. httptools on both sides of uvloop, one callback behind the
other. Of a picture it does what no front can leave out: base64, the header, SHA-256. No keys, limits, ledger, receipts,
checks, errors, deadlines, logs, metrics; not even a coroutine.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import deque
from typing import Any

import httptools
import pybase64
import uvloop

from sightline.images.header import read_header
from sightline.server.tuning import tune_malloc

_BASE64 = b";base64,"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-length: %d\r\n\r\n"


class Upstream(asyncio.Protocol):
    """A connection to the stand-in, which answers its client's request and rests."""

    client: Any

    def __init__(self, idle: deque[Upstream]) -> None:
        """Take the deque in which it rests."""
        self._idle = idle
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Go on."""
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        """Note a piece."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Hand the answer on."""
        body = b"".join(self._pieces)
        self._pieces = []
        self._idle.append(self)
        self.client.write(_ANSWER % len(body) + body)


class Client(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, port: int, idle: deque[Upstream]) -> None:
        """Take where the upstream is, and its connections that rest."""
        self._port, self._idle = port, idle
        self._parser = httptools.HttpRequestParser(self)
        self._pieces: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Go on."""
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        """Note a piece."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Look at the pictures, then hand the request on."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces = []
        at = body.find(_BASE64)
        while at >= 0:
            end = body.find(b'"', at)
            data = pybase64.b64decode(memoryview(body)[at + len(_BASE64) : end], validate=True)
            read_header(data)
            hashlib.sha256(data).hexdigest()
            at = body.find(_BASE64, end)
        if self._idle:
            self._ask(self._idle.pop(), body)
        else:
            self._connecting = asyncio.ensure_future(self._connect(body))

    async def _connect(self, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(self._idle), "127.0.0.1", self._port)
        self._ask(upstream, body)

    def _ask(self, upstream: Upstream, body: bytes) -> None:
        upstream.client = self._transport
        upstream.transport.writelines([_REQUEST % len(body), body])


async def _serve(port: int) -> None:
    idle: deque[Upstream] = deque()
    server = await asyncio.get_running_loop().create_server(lambda: Client(port, idle), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    tune_malloc()
    sys.exit(uvloop.run(_serve(int(sys.argv[1]))))
