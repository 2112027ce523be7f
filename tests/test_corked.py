"""Writes of one turn go out together, in order, and nothing overtakes them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from sightline.corked import Corked

pytestmark = pytest.mark.anyio


class Inner(asyncio.Transport):
    """Keeps what reaches it, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []
        self._is_closing = False

    def write(self, data: object) -> None:
        self.seen.append(data)

    def writelines(self, list_of_data: object) -> None:
        self.seen.append(list(list_of_data))  # type: ignore[call-overload]

    def write_eof(self) -> None:
        self.seen.append("eof")

    def close(self) -> None:
        self._is_closing = True
        self.seen.append("close")

    def abort(self) -> None:
        self._is_closing = True
        self.seen.append("abort")

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return 100


def corked() -> tuple[Corked, Inner]:
    inner = Inner()
    return Corked(inner, asyncio.get_running_loop()), inner


async def test_the_writes_of_a_turn_go_out_at_its_end_in_one() -> None:
    outer, inner = corked()

    outer.write(b"a")
    outer.writelines([b"b", memoryview(b"c")])
    before = list(inner.seen)
    await asyncio.sleep(0)
    outer.write(b"d")
    await asyncio.sleep(0)

    assert before == []
    assert inner.seen == [[b"a", b"b", memoryview(b"c")], [b"d"]]


async def test_several_connections_write_one_behind_the_other() -> None:
    """Nothing else runs in between, so that a reader of both is woken once."""
    (first, one), (second, two) = corked(), corked()
    order: list[str] = []

    first.write(b"a")
    second.write(b"b")
    asyncio.get_running_loop().call_soon(lambda: order.append(f"{len(one.seen)}{len(two.seen)}"))
    await asyncio.sleep(0)

    assert order == ["11"]


@pytest.mark.parametrize(("end", "last"), [("close", "close"), ("write_eof", "eof")])
async def test_closing_sends_first_what_was_written(end: str, last: str) -> None:
    outer, inner = corked()

    outer.write(b"a")
    getattr(outer, end)()
    await asyncio.sleep(0)

    assert inner.seen == [[b"a"], last]


async def test_aborting_drops_what_was_written() -> None:
    outer, inner = corked()

    outer.write(b"a")
    outer.abort()
    await asyncio.sleep(0)

    assert inner.seen == ["abort"]


async def test_a_connection_that_ended_meanwhile_is_not_written_to() -> None:
    """uvloop raises where a closed transport is written to."""
    outer, inner = corked()

    outer.write(b"a")
    inner.abort()
    await asyncio.sleep(0)

    assert inner.seen == ["abort"]


async def test_what_is_large_goes_out_at_once() -> None:
    outer, inner = corked()

    outer.write(b"a")
    outer.writelines([bytes(300_000)])

    assert inner.seen == [[b"a", bytes(300_000)]]


async def test_many_small_writes_of_a_turn_are_not_gathered_without_bound() -> None:
    outer, inner = corked()

    for _ in range(10):
        outer.write(bytes(60_000))

    assert [sum(map(len, pieces)) for pieces in inner.seen] == [300_000, 300_000]  # type: ignore[call-overload]
    assert outer.get_write_buffer_size() == 100


async def test_what_waits_counts_as_not_yet_sent() -> None:
    outer, _ = corked()

    outer.write(b"abc")

    assert outer.get_write_buffer_size() == 103


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with closing(one), closing(other):
        yield one, other


async def test_a_real_connection_gets_it_all(pair: tuple[socket.socket, socket.socket]) -> None:
    here, there = pair
    there.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
    outer = Corked(transport, loop)

    outer.writelines([b"one, ", memoryview(b"two")])
    outer.write(b", three")
    outer.close()
    came = b""
    while piece := await loop.sock_recv(there, 100):
        came += piece

    assert came == b"one, two, three"
    assert outer.is_closing()
