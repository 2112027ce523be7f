"""One timer for many things."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sightline.timers import Later
from support.asgi import until

pytestmark = pytest.mark.anyio


async def test_each_is_due_in_its_turn_and_not_before() -> None:
    came: dict[int, float] = {}
    waited: dict[int, float] = {}
    loop = asyncio.get_running_loop()
    later: Later[int] = Later(0.05, lambda number: waited.update({number: loop.time() - came[number]}))

    for number in range(20):
        came[number] = loop.time()
        later.add(number)
        await asyncio.sleep(0.005)
    await until(lambda: len(waited) == 20)

    assert list(waited) == list(range(20))
    assert min(waited.values()) >= 0.049


async def test_it_goes_on_after_a_pause_and_after_a_failure() -> None:
    seen: list[str] = []
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    def due(thing: str) -> None:
        seen.append(thing)
        if thing == "bad":
            raise ZeroDivisionError

    later = Later(0.01, due)
    later.add("bad")
    later.add("beside it")
    await until(lambda: len(seen) == 2)
    later.add("after a pause")
    await until(lambda: len(seen) == 3)

    assert seen == ["bad", "beside it", "after a pause"]
    assert [type(context["exception"]) for context in complaints] == [ZeroDivisionError]


def test_what_a_loop_that_has_ended_left_behind_is_forgotten() -> None:
    seen: list[str] = []
    later: Later[str] = Later(0.01, seen.append)

    async def add(thing: str, wait_s: float) -> None:
        later.add(thing)
        await asyncio.sleep(wait_s)

    asyncio.run(add("left behind", 0))
    asyncio.run(add("new", 0.1))

    assert seen == ["new"]
