"""Deadlines of a connection, on a clock that jumps: who stops in the middle of something is closed when it is due."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from sightline.api.failures import response_of
from sightline.server.connection import Connection, close_overdue, connection_class
from sightline.settings import ServerSettings
from support.failures import assert_error_body
from support.sockets import answers
from support.virtual_time import run_virtually

SETTINGS = ServerSettings(header_timeout_s=10, body_timeout_s=30, write_timeout_s=40, keep_alive_timeout_s=5)
SWEEP_S = 0.5
GRACE_S = 2.0
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, then answer one byte."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"x"})


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answer without reading the body."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"x"})


async def work(scope: Any, receive: Any, send: Any) -> None:
    """Answer after five minutes."""
    await asyncio.sleep(300)
    await answer(scope, receive, send)


class Transport(asyncio.Transport):
    """A client's end: what was written to it, and when it was closed or its connection aborted."""

    def __init__(self, ours: socket.socket) -> None:
        super().__init__({"socket": ours})
        self.written = bytearray()
        self.closed_s: float | None = None
        self.has_ended = False
        self.protocol: Connection

    def write(self, data: Any) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.has_ended = True

    def is_closing(self) -> bool:
        return self.closed_s is not None

    def close(self) -> None:
        if self.closed_s is None:
            loop = asyncio.get_running_loop()
            self.closed_s = loop.time()
            loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


Scene = Callable[[Connection, Transport], Coroutine[Any, Any, None]]


@pytest.fixture
def ours() -> Iterator[socket.socket]:
    with socket.socket() as one:
        yield one


@pytest.fixture
def play(ours: socket.socket) -> Callable[..., Transport]:
    """Let a client do something on a connection to `app`, then nothing for an hour."""

    def run(scene: Scene, app: Any = answer) -> Transport:
        async def hour() -> Transport:
            state = ServerState()
            config = uvicorn.Config(
                app,
                http=connection_class(SETTINGS, response_of),
                lifespan="off",
                log_config=None,
                timeout_keep_alive=round(SETTINGS.keep_alive_timeout_s),
            )
            config.load()
            kind: Any = config.http_protocol_class
            transport = Transport(ours)
            transport.protocol = connection = kind(config, state, {}, _loop=asyncio.get_running_loop())
            sweep = asyncio.create_task(close_overdue(state.connections))
            connection.connection_made(transport)
            await scene(connection, transport)
            await asyncio.sleep(3600)
            sweep.cancel()
            return transport

        return run_virtually(hour())

    return run


def sends(*pieces: bytes, every_s: float = 0.0) -> Scene:
    """A client that sends these until it is closed."""

    async def scene(connection: Connection, transport: Transport) -> None:
        for piece in pieces:
            if transport.has_ended or transport.is_closing():
                return
            connection.data_received(piece)
            await asyncio.sleep(every_s)

    return scene


def bytes_of(data: bytes) -> list[bytes]:
    return [bytes([one]) for one in data]


def closed_within(transport: Transport, due_s: float, late_s: float = 2 * SWEEP_S) -> bool:
    return transport.closed_s is not None and due_s <= transport.closed_s <= due_s + late_s


def refusal(transport: Transport) -> int:
    """The status of the one error that was written, whose shape is OpenAI's."""
    [(status, body)] = answers(bytes(transport.written))
    assert_error_body(body, status, body["error"]["code"])
    return status


def test_silent_connection_is_closed_without_a_word(play: Callable[..., Transport]) -> None:
    transport = play(sends())

    assert closed_within(transport, 10, 10)
    assert transport.written == b""


@pytest.mark.parametrize("sent", [b"G", GET[:-2]])
def test_half_a_head_is_408(play: Callable[..., Transport], sent: bytes) -> None:
    transport = play(sends(sent))

    assert refusal(transport) == 408
    assert closed_within(transport, 10, 4)


def test_byte_of_a_head_now_and_then_does_not_help(play: Callable[..., Transport]) -> None:
    transport = play(sends(*bytes_of(GET[:-2]), every_s=3))

    assert refusal(transport) == 408
    assert closed_within(transport, 10, 4)


def test_connection_that_waits_for_its_next_request_is_closed(play: Callable[..., Transport]) -> None:
    transport = play(sends(GET, GET, GET, every_s=4))

    assert transport.written.count(b" 200 ") == 3
    assert closed_within(transport, 8 + 5)


def test_line_breaks_between_requests_do_not_help(play: Callable[..., Transport]) -> None:
    transport = play(sends(GET, *[b"\r\n"] * 60, every_s=1))

    assert closed_within(transport, 5, 10)


@pytest.mark.parametrize("sent", [b"", b"x", b"x" * 99])
def test_body_that_nobody_gives_up_is_cut_off(play: Callable[..., Transport], sent: bytes) -> None:
    """The body budget has answered by then."""
    transport = play(sends(POST + sent))

    assert closed_within(transport, 30 + GRACE_S)


def test_byte_of_a_body_now_and_then_does_not_help(play: Callable[..., Transport]) -> None:
    transport = play(sends(POST, *bytes_of(b"x" * 99), every_s=2))

    assert closed_within(transport, 30 + GRACE_S)


def test_body_behind_its_answer_may_not_drip_for_ever(play: Callable[..., Transport]) -> None:
    transport = play(sends(POST, *bytes_of(b"x" * 99), every_s=2), refuse)

    assert b" 401 " in transport.written
    assert closed_within(transport, 30 + GRACE_S)


def test_connection_answered_before_its_body_was_whole_is_idle_then(play: Callable[..., Transport]) -> None:
    transport = play(sends(POST, b"x" * 100, every_s=3), refuse)

    assert closed_within(transport, 3 + 5)


def test_work_may_take_its_time(play: Callable[..., Transport]) -> None:
    transport = play(sends(GET), work)

    assert b" 200 " in transport.written
    assert closed_within(transport, 300 + 5)


def test_client_that_does_not_read_is_closed(play: Callable[..., Transport]) -> None:
    async def scene(connection: Connection, transport: Transport) -> None:
        connection.data_received(GET)
        connection.pause_writing()

    transport = play(scene, work)

    assert closed_within(transport, 40)


def test_client_that_reads_on_is_not(play: Callable[..., Transport]) -> None:
    async def scene(connection: Connection, transport: Transport) -> None:
        connection.data_received(GET)
        for _ in range(4):
            connection.pause_writing()
            await asyncio.sleep(30)
            connection.resume_writing()

    transport = play(scene, work)

    assert b" 200 " in transport.written


def test_who_is_refused_and_still_sends_is_closed_in_the_end(play: Callable[..., Transport]) -> None:
    transport = play(sends(b"no http\r\n\r\n", *[b"more"] * 60, every_s=1))

    assert refusal(transport) == 400
    assert closed_within(transport, 0, 4)
