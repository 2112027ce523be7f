"""A crowd of stalled clients, in a process of its own: `python -m support.crowd URL KEY NUMBER`.

Stalled readers look whether they still have a connection when a line comes on standard input. At the end it prints as
JSON, for each kind of client, how many there were and how many were closed without a whole answer.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
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
    """What clients of this kind send at once, what a byte a second, and how many they are."""

    name: str
    number: int
    at_once: bytes = b""
    dripping: bytes = b""
    is_reading: bool = True


class Client(asyncio.Protocol):
    """One of them."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.is_closed = False
        self.is_done = False
        self._dripped = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        if not self.kind.is_reading:
            asyncio.get_running_loop().call_soon(transport.pause_reading)  # reading begins after this
        if self.kind.at_once:
            transport.write(self.kind.at_once)

    def data_received(self, data: bytes) -> None:
        self.is_done |= b"[DONE]" in data

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True

    def drip(self) -> None:
        """Send the next byte."""
        if not self.is_closed:
            self.transport.write(self.kind.dripping[self._dripped : self._dripped + 1])
            self._dripped += 1


def kinds(key: str, number: int) -> list[Kind]:
    """A crowd of about `number` clients."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: "
    content = " ".join([WORD] * WORDS)
    body = json.dumps(
        {"model": "sightline/scripted", "stream": True, "messages": [{"role": "user", "content": content}]}
    )
    nearly = head.encode() + b"1000000\r\n\r\n"
    return [
        Kind("connected and silent", number // 5),
        Kind("half a head", number // 5, head.encode()),
        Kind("a byte of head a second", number // 5, b"", head.encode()),
        Kind("990 KB of a body", number * 3 // 100, nearly + b" " * 990_000),
        Kind("1 KB of a body", number * 17 // 100, nearly + b" " * 1000),
        Kind("a byte of body a second", number // 5, nearly, b" " * 1000),
        Kind("stalled reader", STREAMS, f"{head}{len(body)}\r\n\r\n{body}".encode(), is_reading=False),
    ]


async def main(url: str, key: str, number: int) -> None:
    """Connect all, drip until all are closed, report."""
    loop = asyncio.get_running_loop()
    crowd = [Client(kind) for kind in kinds(key, number) for _ in range(kind.number)]
    await _connect(url, [client for start in range(97) for client in crowd[start::97]])
    print("connected", flush=True)

    stalled = [client for client in crowd if not client.kind.is_reading]

    def look() -> None:
        loop.remove_reader(sys.stdin.fileno())
        for client in stalled:
            client.transport.resume_reading()

    loop.add_reader(sys.stdin.fileno(), look)
    parts = cycle(list(_parts([client for client in crowd if client.kind.dripping])))
    until_s = loop.time() + LIMIT_S
    while not all(client.is_closed for client in crowd) and loop.time() < until_s:
        for client in next(parts):
            client.drip()
        await asyncio.sleep(1 / PARTS)
    print(json.dumps([_report(kind, crowd) for kind in kinds(key, number)]), flush=True)


async def _connect(url: str, clients: list[Client]) -> None:
    loop = asyncio.get_running_loop()
    where = urlsplit(url)
    sources = cycle(f"127.0.0.{number}" for number in range(1, ADDRESSES + 1))
    began_s = loop.time()

    async def connect(client: Client) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        if not client.kind.is_reading:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((next(sources), 0))
        await loop.sock_connect(connection, (where.hostname, where.port))
        await loop.create_connection(lambda: client, sock=connection)

    for start in range(0, len(clients), TOGETHER):
        await asyncio.sleep(began_s + start / PER_S - loop.time())
        await asyncio.gather(*(connect(client) for client in clients[start : start + TOGETHER]))


def _parts(clients: list[Client]) -> Iterator[list[Client]]:
    for start in range(PARTS):
        yield clients[start::PARTS]


def _report(kind: Kind, crowd: list[Client]) -> dict[str, object]:
    ours = [client for client in crowd if client.kind.name == kind.name]
    closed = sum(client.is_closed and not client.is_done for client in ours)
    return {"kind": kind.name, "number": len(ours), "closed": closed}


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
