"""The limit beside which `bench proxy` puts us: it must hand on what it gets, or it would be no relay."""

from __future__ import annotations

import asyncio

from bench.bodies import body_of, jpeg
from bench.proxy import program
from bench.standin import MODEL


async def whole(reader: asyncio.StreamReader) -> bytes:
    """The body of the next message."""
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.rpartition(b"content-length: ")[2]))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An upstream that answers a request with its body."""
    try:
        while True:
            body = await whole(reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    except asyncio.IncompleteReadError:
        writer.close()
        await writer.wait_closed()


def test_it_hands_requests_and_answers_on() -> None:
    bodies = body_of(MODEL), body_of(MODEL, jpeg(40_000)), body_of(MODEL, jpeg(355_000), jpeg(40_000))

    async def run() -> list[bytes]:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as upstream:
            with program("bench.relay", str(upstream.sockets[0].getsockname()[1])) as (port, _):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                answers = []
                for body in bodies:
                    writer.write(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                    answers.append(await whole(reader))
                writer.close()
                await writer.wait_closed()
            await asyncio.sleep(0.1)  # until the upstream has seen it go
        return answers

    assert asyncio.run(run()) == list(bodies)
