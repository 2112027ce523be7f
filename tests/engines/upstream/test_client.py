"""The HTTP client of upstreams, over a server that says byte for byte what a test has it say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager

import aiohttp
import pytest

from sightline.engines.upstream import client as module
from sightline.engines.upstream.client import TRANSLATIONS, Client
from sightline.engines.upstream.failures import Failure
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
    client = Client("sk-1", 30.0)
    client.open()
    try:
        yield server, client
    finally:
        await client.close()
        await until(lambda: server.ended == server.connections)
        listening.close()


async def body_of(server: Server, client: Client, limit: int = 1000) -> bytes:
    with await client.send("POST", f"{server.url}/v1/x", [b"{", memoryview(b"}")]) as response:
        return await response.body(limit)


async def test_request_says_where_it_goes_who_sends_it_and_how_long_it_is() -> None:
    async with serving(PLAIN) as (server, client):
        assert await body_of(server, client) == b"hi"

    host = server.url.removeprefix("http://").encode()
    assert server.heads == [
        b"POST /v1/x HTTP/1.1\r\nHost: " + host + b"\r\nAuthorization: Bearer sk-1\r\n"
        b"Content-Length: 2\r\nContent-Type: application/json\r\n\r\n"
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
        assert [await body_of(server, client) for _ in range(3)] == [body] * 3

    assert server.connections == 1


@pytest.mark.parametrize("said", [TO_THE_END + b"hi", b"HTTP/1.0 200 OK\r\n\r\nhi"])
async def test_body_without_a_length_goes_to_the_end_of_the_connection(said: bytes) -> None:
    async with serving(said, ends=True) as (server, client):
        assert [await body_of(server, client) for _ in range(2)] == [b"hi"] * 2

    assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        OK + b"content-length: 5\r\n\r\nhi",
        CHUNKED + b"5\r\nhi",
        CHUNKED + b"2\r\nhi\r\n",
        CHUNKED + b"oops\r\nhi\r\n",
        b"not HTTP at all\r\n\r\n",
        OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        OK + b"x: " + b"y" * 1_000_000,
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
    ],
)
async def test_what_is_cut_or_no_http_is_a_read_error(said: bytes) -> None:
    async with serving(said, ends=True) as (server, client):
        with pytest.raises(Failure, match="reset"):
            await body_of(server, client)


async def test_pieces_come_as_they_arrive_and_before_it_is_said_that_they_were_cut() -> None:
    go_on = asyncio.Event()

    async def say(_: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"2\r\nhi\r\n")
        await go_on.wait()
        writer.write(b"3\r\n ho\r\n")
        writer.close()

    async with serving_by(say) as (server, client):
        with await client.send("GET", server.url) as response:
            assert await response.read() == b"hi"
            go_on.set()
            assert await response.read() == b" ho"
            with pytest.raises(Failure, match="reset"):
                await response.read()


async def test_answer_larger_than_the_limit_is_a_read_error() -> None:
    async with serving(OK + b"content-length: 1001\r\n\r\n" + b"x" * 1001) as (server, client):
        with pytest.raises(Failure, match="reset"):
            await body_of(server, client)
        assert len(await body_of(server, client, 1001)) == 1001


async def test_answer_that_nobody_reads_waits_at_its_server() -> None:
    parts, part = 64, b"x" * 400_000
    sent = 0

    async def say(_: Server, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(OK + b"content-length: %d\r\n\r\n" % (parts * len(part)))
        for _ in range(parts):
            writer.write(part)
            await writer.drain()
            sent += 1

    async with serving_by(say) as (server, client):
        with await client.send("GET", server.url) as response:
            for _ in range(500):
                await asyncio.sleep(0)
            assert sent < parts
            assert len(await response.body()) == parts * len(part)


@pytest.mark.parametrize("said", [b"", OK, CHUNKED + b"2\r\nhi\r\n"])
async def test_cancelling_ends_the_connection(said: bytes) -> None:
    async with serving(said) as (server, client):
        asking = asyncio.create_task(body_of(server, client))
        await until(lambda: bool(server.heads))
        asking.cancel()
        await until(lambda: server.ended == 1)

    assert asking.cancelled()


async def test_closing_a_response_ends_its_connection() -> None:
    async with serving(CHUNKED + b"2\r\nhi\r\n") as (server, client):
        with await client.send("GET", server.url) as response:
            await response.read()

        await until(lambda: server.ended == 1)


async def test_request_over_a_connection_that_the_server_has_closed_is_sent_again() -> None:
    async def say(server: Server, writer: asyncio.StreamWriter) -> None:
        if len(server.heads) == 2:
            writer.close()  # it had done so already when the request was sent
        else:
            writer.write(PLAIN)

    async with serving_by(say) as (server, client):
        assert [await body_of(server, client) for _ in range(2)] == [b"hi"] * 2

    assert len(server.heads) == 3
    assert server.connections == 2


async def test_request_that_the_server_has_begun_to_answer_is_sent_once() -> None:
    async def say(server: Server, writer: asyncio.StreamWriter) -> None:
        writer.write(PLAIN if len(server.heads) == 1 else CHUNKED + b"2\r\nhi\r\n")
        if len(server.heads) == 2:
            writer.close()

    async with serving_by(say) as (server, client):
        assert await body_of(server, client) == b"hi"
        with pytest.raises(Failure, match="reset"):
            await body_of(server, client)

    assert len(server.heads) == 2


async def test_request_over_a_new_connection_is_sent_once() -> None:
    async with serving(b"", ends=True) as (server, client):
        with pytest.raises(Failure, match="reset"):
            await body_of(server, client)

    assert len(server.heads) == 1


async def test_connection_is_kept_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEPALIVE_S", 0.05)
    async with serving(PLAIN) as (server, client):
        await body_of(server, client)
        await until(lambda: server.ended == 1)
        await body_of(server, client)

    assert server.connections == 2


async def test_bytes_that_nobody_asked_for_are_nobodys_answer() -> None:
    async with serving(PLAIN + PLAIN.replace(b"hi", b"ho"), PLAIN) as (server, client):
        assert [await body_of(server, client) for _ in range(2)] == [b"hi"] * 2


async def test_answer_before_the_request_has_gone_out_whole_is_read_and_ends_the_connection() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        ended.set()
        writer.close()

    async with serving(PLAIN) as (_, client), await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        with await client.send("POST", url, [b"x" * 50_000_000]) as response:
            assert (response.status, await response.error()) == (413, b"no")
        await ended.wait()


async def test_redirect_is_not_followed() -> None:
    async with serving(b"HTTP/1.1 307 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n") as (server, client):
        with await client.send("POST", server.url, [b"{}"]) as response:
            assert response.status == 307

    assert len(server.heads) == 1


async def test_cookies_are_not_kept() -> None:
    async with serving(OK + b"set-cookie: a=b\r\ncontent-length: 2\r\n\r\nhi") as (server, client):
        for _ in range(2):
            await body_of(server, client)

    assert b"cookie" not in server.heads[1].lower()


@pytest.mark.parametrize("trust_env", [False, True])
async def test_proxies_of_the_environment_are_used_only_where_the_settings_say_so(
    trust_env: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(PLAIN) as (server, _):
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.delenv("no_proxy", raising=False)
        client = Client(None, 30.0, trust_env=trust_env)
        client.open()
        try:
            if trust_env:
                with await client.send("GET", "http://127.0.0.1:1/x") as response:
                    assert await response.body() == b"hi"
            else:
                with pytest.raises(Failure, match="connect_error"):
                    await client.send("GET", "http://127.0.0.1:1/x")
        finally:
            await client.close()


async def test_server_that_is_not_there_cannot_be_connected() -> None:
    async with serving(PLAIN) as (_, client):
        with pytest.raises(Failure, match="connect_error"):
            await client.send("GET", "http://127.0.0.1:1")


async def test_server_that_speaks_no_tls_cannot_be_connected() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(PLAIN)
        writer.close()

    async with serving(PLAIN) as (_, client), await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        with pytest.raises(Failure, match="connect_error"):
            await client.send("GET", f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")


async def test_server_that_takes_no_connection_in_time_cannot_be_connected() -> None:
    with socket.socket() as listening, ExitStack() as others:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # more than wait to be accepted: the next is not answered
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(listening.getsockname())
        client = Client(None, 0.05)
        client.open()
        try:
            with pytest.raises(Failure, match="connect_error"):
                await client.send("GET", f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            await client.close()


async def test_closing_ends_what_runs() -> None:
    async with serving(b"") as (server, client):
        asking = asyncio.create_task(body_of(server, client))
        await until(lambda: bool(server.heads))
        await client.close()
        with pytest.raises(Failure, match="reset"):
            await asking


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


@pytest.mark.parametrize("kind", sorted(set(subclasses(aiohttp.ClientError)), key=str), ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_is_translated(kind: type[Exception]) -> None:
    """A new family of them has to be thought about first."""
    assert [each for each in kind.__mro__ if each in TRANSLATIONS and issubclass(each, aiohttp.ClientError)]
