"""An answer on its way to a connection: how many writes it takes, and what may not be written."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from sightline.api.cycle import ON_LEAVE, Cycle
from sightline.api.middleware import EndWithClient

pytestmark = pytest.mark.anyio

PLAIN = [(b"content-length", b"3")]


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


class Flow:
    """A client that reads."""

    write_paused = False

    def resume_reading(self) -> None: ...


def cycle(transport: Transport, *, method: str = "GET", keep_alive: bool = True, version: str = "1.1") -> Cycle:
    logger, scope = logging.getLogger(), {"method": method, "http_version": version}
    more: dict[str, Any] = {"expect_100_continue": False, "keep_alive": keep_alive, "on_response": lambda: None}
    event, ours = asyncio.Event(), [(b"date", b"today")]
    made = Cycle(scope, transport, Flow(), logger, logger, False, ours, event, **more)  # type: ignore[arg-type]
    made.more_body = False  # the request is there whole
    return made


async def answer(to: Cycle, status: int, headers: list[tuple[bytes, bytes]], *bodies: bytes) -> None:
    await to.send({"type": "http.response.start", "status": status, "headers": headers})
    for number, body in enumerate(bodies, 1):
        await to.send({"type": "http.response.body", "body": body, "more_body": number < len(bodies)})


async def test_plain_answer_is_one_write() -> None:
    transport = Transport()

    await answer(cycle(transport), 200, PLAIN, b"yes")

    assert transport.writes == [b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 3\r\n\r\nyes"]
    assert not transport.is_closed


async def test_head_of_a_stream_goes_out_with_its_first_piece() -> None:
    transport = Transport()

    await answer(cycle(transport, keep_alive=False), 200, [], b"one", b"")

    head = b"HTTP/1.1 200 OK\r\ndate: today\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    assert transport.writes == [head + b"3\r\none\r\n", b"0\r\n\r\n"]
    assert transport.is_closed


async def test_stream_to_an_http_1_0_client_has_no_chunks_and_ends_with_the_connection() -> None:
    transport = Transport()

    await answer(cycle(transport, keep_alive=False, version="1.0"), 200, [], b"one", b"two", b"three", b"")

    head = b"HTTP/1.1 200 OK\r\ndate: today\r\nconnection: close\r\n\r\n"
    assert b"".join(transport.writes) == head + b"onetwothree"
    assert transport.is_closed


async def test_pieces_of_the_same_moment_go_out_together_and_in_order() -> None:
    transport = Transport()
    stream = cycle(transport)

    await answer(stream, 200, [], b"first", b"a", b"b", b"")
    assert transport.writes[0].endswith(b"5\r\nfirst\r\n")
    assert transport.writes[1:] == [b"2\r\nab\r\n0\r\n\r\n"]


async def test_pieces_do_not_wait_for_one_that_is_not_there() -> None:
    transport = Transport()
    stream = cycle(transport)
    await stream.send({"type": "http.response.start", "status": 200, "headers": []})
    for body in (b"first", b"a", b"b"):
        await stream.send({"type": "http.response.body", "body": body, "more_body": True})
    assert len(transport.writes) == 1

    await asyncio.sleep(0)
    assert transport.writes[1:] == [b"2\r\nab\r\n"]

    await stream.send({"type": "http.response.body", "body": b"x" * 70_000, "more_body": True})
    assert len(transport.writes) == 3


@pytest.mark.parametrize(("method", "status", "headers"), [("HEAD", 200, PLAIN), ("GET", 204, [])])
async def test_answer_without_a_body(method: str, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    transport, body = Transport(), b"yes" if method == "HEAD" else b""

    await answer(cycle(transport, method=method), status, headers, body)

    assert transport.writes[0].endswith(b"\r\n\r\n")
    assert b"chunked" not in transport.writes[0]
    assert len(transport.writes) == 1


@pytest.mark.parametrize("header", [(b"x", b"a\r\nset-cookie: b"), (b"x\n", b"a"), (b"x", b"\x00")])
async def test_header_that_would_break_the_answer_apart_is_not_written(header: tuple[bytes, bytes]) -> None:
    transport = Transport()

    with pytest.raises(RuntimeError):
        await answer(cycle(transport), 200, [header], b"")

    assert transport.writes == []


@pytest.mark.parametrize("bodies", [(b"four",), (b"ab",), (b"ab", b"cd")])
async def test_body_of_another_length_than_announced_is_a_bug(bodies: tuple[bytes, ...]) -> None:
    with pytest.raises(RuntimeError):
        await answer(cycle(Transport()), 200, PLAIN, *bodies)


async def test_nothing_follows_a_complete_answer() -> None:
    done = cycle(Transport())
    await answer(done, 200, PLAIN, b"yes")

    with pytest.raises(RuntimeError):
        await done.send({"type": "http.response.body", "body": b"more"})


@pytest.mark.parametrize("pieces", [(b"abc",), (b"a", b"b", b"c")])
async def test_body_is_what_came_however_it_was_cut(pieces: tuple[bytes, ...]) -> None:
    asked = cycle(Transport())

    for piece in pieces:
        asked.add(piece)
    asked.more_body = False
    asked.message_event.set()

    assert await asked.receive() == {"type": "http.request", "body": b"abc", "more_body": False}


async def test_who_leaves_is_told_of_once_the_body_is_handed_on_and_not_before() -> None:
    told: list[str] = []
    unread, read = cycle(Transport()), cycle(Transport())
    for asked in (unread, read):
        asked.on_leave(lambda: told.append("left"))
    read.add(b"whole")
    await read.receive()

    unread.leave()
    assert told == []

    read.leave()
    assert told == ["left"]


@pytest.mark.parametrize("is_waiting", [True, False])
async def test_who_leaves_within_the_body_is_told_of_when_more_is_asked_for(is_waiting: bool) -> None:
    told: list[str] = []
    asked = cycle(Transport())
    asked.more_body = True
    asked.on_leave(lambda: told.append("left"))
    if is_waiting:
        waiting = asyncio.create_task(asked.receive())
        await asyncio.sleep(0)
        asked.leave()
        message = await waiting
    else:
        asked.leave()
        message = await asked.receive()

    assert told == ["left"]
    assert message == {"type": "http.disconnect"}


async def test_request_is_freed_with_its_body_without_the_collector() -> None:
    transport = Transport()
    answered = cycle(transport)
    answered.scope["extensions"] = {ON_LEAVE: answered.on_leave}  # type: ignore[typeddict-unknown-key]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"large", "more_body": False}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
        await send({"type": "http.response.body", "body": b"yes"})

    await EndWithClient(app)(answered.scope, receive, answered.send)
    freed = weakref.ref(answered)
    gc.disable()
    try:
        del answered
        assert freed() is None
    finally:
        gc.enable()


async def test_whole_body_is_there_at_once_and_then_nothing() -> None:
    asked = cycle(Transport())
    asked.add(b"whole")
    asked.more_body = False
    asked.message_event.set()

    assert await asked.receive() == {"type": "http.request", "body": b"whole", "more_body": False}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asked.receive(), 0.01)
