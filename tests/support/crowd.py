"""A crowd of stalled clients, in a process of its own: `python -m support.crowd URL KEY SHARE LOOK_S`.

Stalled readers look after LOOK_S whether they still have a connection. Prints in how many seconds all have connected,
and at the end what became of them as JSON: for each kind how many there were, how many were closed without a whole
answer, the seconds until the last was, and the statuses that they were answered with.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from urllib.parse import urlsplit

import uvloop

STREAMS = 12  # fewer than a model has places, so that there is one for others
WORDS, WORD = 200, "x" * 2000
ADDRESSES = 4
TOGETHER, PER_S = 12, 1200
"""So many connect at a time, so many a second: all are there before the first deadline."""
PARTS = 100
"""Who sends a byte a second does so at its own time in it."""
LIMIT_S = 75.0


@dataclass(frozen=True)
class Kind:
    """What clients of this kind send at once, what a byte a second, and how many they are of 10,000."""

    name: str
    number: int
    at_once: bytes = b""
    dripping: bytes = b""
    is_reading: bool = True


class Client(asyncio.Protocol):
    """One of them."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.status = ""
        self.closed_s: float | None = None  # 0 is after less than the loop's clock can tell
        self.is_done = False
        self._dripped = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.began_s = self.loop.time()
        if not self.kind.is_reading:
            self.loop.call_soon(transport.pause_reading)  # reading begins after this
        if self.kind.at_once:
            transport.write(self.kind.at_once)

    def data_received(self, data: bytes) -> None:
        self.status = self.status or data[9:12].decode()
        self.is_done |= b"[DONE]" in data

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed_s = self.loop.time() - self.began_s

    def drip(self) -> None:
        """Send the next byte."""
        if self.closed_s is None and self.kind.dripping:
            self.transport.write(self.kind.dripping[self._dripped : self._dripped + 1])
            self._dripped += 1


def kinds(key: str, share: float) -> list[Kind]:
    """The crowd; `share` 1 is 10,000 clients."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: "
    content = " ".join([WORD] * WORDS)
    body = json.dumps(
        {"model": "sightline/scripted", "stream": True, "messages": [{"role": "user", "content": content}]}
    )
    nearly = head.encode() + b"1000000\r\n\r\n"
    return [
        Kind("connected and silent", round(2000 * share)),
        Kind("half a head", round(2000 * share), head.encode()),
        Kind("a byte of head a second", round(1970 * share), b"", head.encode()),
        Kind("990 KB of a body", round(300 * share), nearly + b" " * 990_000),
        Kind("1 KB of a body", round(1700 * share), nearly + b" " * 1000),
        Kind("a byte of body a second", round(2000 * share), nearly, b" " * 1000),
        Kind("stalled reader", STREAMS, f"{head}{len(body)}\r\n\r\n{body}".encode(), is_reading=False),
    ]


async def main(url: str, key: str, share: float, look_s: float) -> None:
    """Connect all, drip until all are closed, report."""
    loop = asyncio.get_running_loop()
    where = urlsplit(url)
    sources = cycle(f"127.0.0.{number}" for number in range(1, ADDRESSES + 1))
    crowd = [Client(kind) for kind in kinds(key, share) for _ in range(kind.number)]
    spread = [client for start in range(97) for client in crowd[start::97]]

    began_s = loop.time()

    async def connect(client: Client) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        if not client.kind.is_reading:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((next(sources), 0))
        await loop.sock_connect(connection, (where.hostname, where.port))
        await loop.create_connection(lambda: client, sock=connection)

    for start in range(0, len(spread), TOGETHER):
        await asyncio.sleep(began_s + start / PER_S - loop.time())
        await asyncio.gather(*(connect(client) for client in spread[start : start + TOGETHER]))
    print(f"{loop.time() - began_s:.1f}", flush=True)
    began_s = loop.time()
    parts = cycle(list(_parts([client for client in crowd if client.kind.dripping])))
    stalled = [client for client in crowd if not client.kind.is_reading]
    while any(client.closed_s is None for client in crowd) and loop.time() - began_s < LIMIT_S:
        for client in next(parts):
            client.drip()
        if loop.time() - began_s > look_s:
            for client in stalled:
                if client.closed_s is None:
                    client.transport.resume_reading()  # they see only now that they were closed
        await asyncio.sleep(1 / PARTS)
    print(json.dumps([_report(kind, crowd) for kind in kinds(key, share)]), flush=True)


def _parts(clients: list[Client]) -> Iterator[list[Client]]:
    for start in range(PARTS):
        yield clients[start::PARTS]


def _report(kind: Kind, crowd: list[Client]) -> dict[str, object]:
    ours = [client for client in crowd if client.kind.name == kind.name]
    return {
        "kind": kind.name,
        "number": len(ours),
        "closed": sum(client.closed_s is not None and not client.is_done for client in ours),
        "last_s": max(client.closed_s or 0.0 for client in ours),
        "statuses": Counter(client.status or "none" for client in ours),
    }


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
