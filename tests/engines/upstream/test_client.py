"""The HTTP client of upstreams, over a server that says byte for byte what a test has it say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest

from sightline.engines.upstream import client as module
from sightline.engines.upstream.client import Broken, Client, Unreachable
from support.asgi import until

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"content-length: 2\r\n\r\nhi"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
TO_THE_END = OK + b"content-type: text/plain\r\n\r\n"


class Server:
    """Takes requests one after the other on each connection; `say` writes what comes back."""

    def __init__(self, say: Callable[[Server, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = self.ended = 0
        self.url = ""
        self._say = say

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                self.bodies.append(await reader.readexactly(int(length[0][15:])) if length else b"")
                await self._say(self, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def serving(*says: bytes, ends: bool = False) -> AsyncIterator[tuple[Server, Client]]:
    """A server that answers its n-th request with the n-th of `says`, the last one again and again, and a client."""

    async def say(server: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(says[min(len(server.heads), len(says)) - 1])
        if ends:
            writer.close()

    async with serving_by(say) as both:
        yield both


@asynccontextmanager
async def serving_by(
    say: Callable[[Server, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[Server, Client]]:
    server = Server(say)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    client = Client(server.url + "/v1/", "sk-1", 2.0)
    try:
        yield server, client
    finally:
        await client.close()
        await until(lambda: server.ended == server.connections)
        listening.close()


async def body_of(client: Client, limit: int = 1000) -> bytes:
    async with client.send("POST", "/v1/x", [b"{", b"}"]) as reply:
        return await reply.body(limit)


async def test_request_says_where_it_goes_who_sends_it_and_how_long_it_is() -> None:
    async with serving(PLAIN) as (server, client):
        assert await body_of(client) == b"hi"

    host = server.url.removeprefix("http://").encode()
    assert server.heads == [
        b"POST /v1/x HTTP/1.1\r\nhost: " + host + b"\r\nauthorization: Bearer sk-1\r\n"
        b"content-type: application/json\r\ncontent-length: 2\r\n\r\n"
    ]
    assert server.bodies == [b"{}"]


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (PLAIN, b"hi"),
        (CHUNKED + b"2\r\nhi\r\n3\r\n ho\r\n0\r\n\r\n", b"hi ho"),
        (CHUNKED + b"2\r\nhi\r\n0\r\nx-trailer: 1\r\n\r\n", b"hi"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, b"hi"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + PLAIN, b"hi"),
    ],
)
async def test_body_is_read_whole_and_the_connection_kept(said: bytes, body: bytes) -> None:
    async with serving(said) as (server, client):
        assert [await body_of(client) for _ in range(3)] == [body] * 3

    assert server.connections == 1


@pytest.mark.parametrize("said", [TO_THE_END + b"hi", b"HTTP/1.0 200 OK\r\n\r\nhi"])
async def test_body_without_a_length_goes_to_the_end_of_the_connection(said: bytes) -> None:
    async with serving(said, ends=True) as (server, client):
        assert [await body_of(client) for _ in range(2)] == [b"hi"] * 2

    assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        OK + b"content-length: 5\r\n\r\nhi",
        CHUNKED + b"5\r\nhi",
        CHUNKED + b"2\r\nhi\r\n",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        OK + b"x: " + b"y" * 1_000_000,
        CHUNKED + b"2\r\nhi\r\n0\r\nx: " + b"y" * 1_000_000,
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
    ],
)
async def test_what_is_cut_or_no_http_is_broken(said: bytes) -> None:
    async with serving(said, ends=True) as (_, client):
        with pytest.raises(Broken):
            await body_of(client)


async def test_pieces_come_as_they_arrive_and_before_it_is_said_that_they_were_cut() -> None:
    go_on = asyncio.Event()

    async def say(_: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"2\r\nhi\r\n")
        await go_on.wait()
        writer.write(b"3\r\n ho\r\n")
        writer.close()

    async with serving_by(say) as (_, client), client.send("GET", "/v1/x") as reply:
        assert await reply.read() == b"hi"
        go_on.set()
        assert await reply.read() == b" ho"
        with pytest.raises(Broken):
            await reply.read()


async def test_answer_larger_than_the_limit_is_broken() -> None:
    async with serving(OK + b"content-length: 1001\r\n\r\n" + b"x" * 1001) as (_, client):
        with pytest.raises(Broken):
            await body_of(client)
        assert len(await body_of(client, 1001)) == 1001


async def test_answer_that_nobody_reads_waits_at_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_HELD_BYTES", 100_000)
    size = 64_000_000

    async def say(_: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"content-length: %d\r\n\r\n" % size)
        for _ in range(64):
            writer.write(b"x" * 1_000_000)
            await writer.drain()

    async with serving_by(say) as (_, client), client.send("GET", "/v1/x") as reply:
        await until(lambda: reply._is_paused)
        await asyncio.sleep(0.05)
        assert reply._held_bytes < 1_000_000
        assert sum([len(data) async for data in pieces_of(reply)]) == size


async def test_connection_whose_reading_was_held_up_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_HELD_BYTES", 1)
    async with serving(PLAIN) as (server, client):
        async with client.send("GET", "/v1/x") as reply:
            await until(lambda: reply.is_whole)
        assert await body_of(client) == b"hi"

    assert server.connections == 2


async def pieces_of(reply: module.Reply) -> AsyncIterator[bytes]:
    while data := await reply.read():
        yield data


@pytest.mark.parametrize("said", [b"", OK, CHUNKED + b"2\r\nhi\r\n"])
async def test_leaving_ends_the_connection_at_once(said: bytes) -> None:
    async with serving(said) as (server, client):

        async def ask() -> None:
            async with client.send("GET", "/v1/x") as reply:
                await reply.read()
                await reply.read()

        asking = asyncio.create_task(ask())
        await until(lambda: bool(server.heads))
        await asyncio.sleep(0.02)
        asking.cancel()
        await until(lambda: server.ended == 1)

    assert asking.cancelled()


async def test_request_over_a_connection_that_the_server_has_closed_is_sent_again() -> None:
    async def say(server: Server, writer: asyncio.StreamWriter) -> None:
        if len(server.heads) == 2:
            writer.close()  # it had done so already when the request was sent
        else:
            writer.write(PLAIN)

    async with serving_by(say) as (server, client):
        assert [await body_of(client) for _ in range(2)] == [b"hi"] * 2

    assert len(server.heads) == 3
    assert server.connections == 2


async def test_it_knows_how_many_requests_run() -> None:
    """Whatever becomes of them: answered, cut, left, given up as they were connected; and connections that rest or that
    the server has closed meanwhile count for nothing."""
    ran: list[int] = []

    async def say(server: Server, writer: asyncio.StreamWriter) -> None:
        ran.append(client.running)
        if len(server.heads) == 3:
            writer.write(CHUNKED)
        writer.write(PLAIN)
        if len(server.heads) in (2, 3):
            writer.close()

    async with serving_by(say) as (_, client):
        assert await body_of(client) == b"hi"
        assert await body_of(client) == b"hi"
        await asyncio.sleep(0.02)
        after_close = client.running
        with pytest.raises(Broken):
            await body_of(client)
        for _ in range(5):
            connecting = asyncio.create_task(client.connect())
            await asyncio.sleep(0)
            connecting.cancel()
            await asyncio.wait([connecting])
        leaving = asyncio.create_task(body_of(client))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert await body_of(client) == b"hi"

        assert after_close == client.running == 0
        assert set(ran) == {1}
        assert len(client._open_ones) == 1


async def test_request_over_a_new_connection_is_sent_once() -> None:
    async with serving(b"", ends=True) as (server, client):
        with pytest.raises(Broken):
            await body_of(client)

    assert len(server.heads) == 1


async def test_connection_is_kept_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_S", 0.05)
    async with serving(PLAIN) as (server, client):
        await body_of(client)
        await until(lambda: server.ended == 1)
        await body_of(client)

    assert server.connections == 2


async def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    async with serving(PLAIN + PLAIN, PLAIN) as (server, client):
        assert [await body_of(client) for _ in range(2)] == [b"hi"] * 2

    assert server.connections == 2


async def test_answer_before_the_request_has_gone_out_whole_is_read_and_ends_the_connection() -> None:
    over = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await over.wait()
        writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    client = Client(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", None, 2.0)
    async with client.send("POST", "/v1/x", [b"x" * 50_000_000]) as reply:
        assert (reply.status, await reply.error()) == (413, b"no")
    assert not client._idle
    over.set()
    await asyncio.sleep(0.01)
    listening.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_server_that_is_not_there_or_speaks_no_tls_is_unreachable(scheme: str) -> None:
    async with serving(PLAIN) as (server, _):
        there = server.url.rpartition(":")[2]
        port = there if scheme == "https" else "1"
        with pytest.raises(Unreachable):
            await body_of(Client(f"{scheme}://127.0.0.1:{port}", None, 2.0))


async def test_server_that_takes_no_connection_in_time_is_unreachable() -> None:
    with socket.socket() as listening, ExitStack() as others:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # more than wait to be accepted: the next is not answered
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(listening.getsockname())
        client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}", None, 0.05)
        with pytest.raises(Unreachable):
            await body_of(client)


async def test_closing_ends_what_runs() -> None:
    async with serving(b"") as (server, client):
        asking = asyncio.create_task(body_of(client))
        await until(lambda: bool(server.heads))
        await client.close()
        with pytest.raises(Broken):
            await asking
