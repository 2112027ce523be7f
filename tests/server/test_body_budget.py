"""Bodies on their way in: a deadline for each, a limit for all together, and who makes room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.applications import Starlette

from sightline.server.body_budget import BodyBudget
from sightline.settings import Settings
from support.asgi import Call, until
from support.bodies import CHAT, raw
from support.failures import assert_error_body

pytestmark = pytest.mark.anyio

HELD_BYTES = 100_000
Begin = Callable[[], Call]


@pytest.fixture
def body_timeout_s() -> float:
    """Long enough for any machine; tests of the deadline have their own."""
    return 60.0


@pytest.fixture
def settings(settings: Settings, body_timeout_s: float) -> Settings:
    return replace(
        settings, server=replace(settings.server, max_buffered_bytes=HELD_BYTES, body_timeout_s=body_timeout_s)
    )


@pytest.fixture
def held(app: Starlette) -> BodyBudget:
    """The application's budget."""
    budget: BodyBudget = app.state.body_budget
    return budget


@pytest.fixture
def begin(app: Starlette, make_key: Callable[..., str]) -> Begin:
    """Begin a chat request with a valid key whose body is still to come."""
    key = make_key()
    return lambda: Call(app, CHAT, [("authorization", f"Bearer {key}")])


async def until_held(held: BodyBudget, size_bytes: int) -> None:
    await until(lambda: held.held_bytes == size_bytes)


def of_size(size: int) -> bytes:
    body = raw("hello", max_tokens=1)
    return body[:-1] + b" " * (size - len(body)) + body[-1:]


def refusal(call: Call) -> tuple[int, str]:
    body = json.loads(b"".join(call.pieces()))
    error = assert_error_body(body, call.status, body["error"]["code"])
    return call.status, error["code"]


def headers(call: Call) -> dict[bytes, bytes]:
    return dict(call.sent[0]["headers"])


@pytest.mark.parametrize("body_timeout_s", [0.5])
@pytest.mark.parametrize("pieces", [0, 1, 20])
async def test_body_that_is_late_is_refused_and_the_connection_ends(begin: Begin, pieces: int) -> None:
    call = begin()
    for _ in range(pieces):
        call.body(b" ", more=True)
        await asyncio.sleep(0.02)

    await asyncio.wait_for(call.task, 5)

    assert refusal(call) == (408, "request_timeout")
    assert headers(call)[b"connection"] == b"close"


@pytest.mark.parametrize("body_timeout_s", [0.5])
async def test_work_on_a_whole_body_has_no_deadline(begin: Begin, engine: object) -> None:
    engine.step_s = 0.2  # type: ignore[attr-defined]
    call = begin()
    call.body(raw("one two three four five"))

    await call.task

    assert call.status == 200


async def test_silent_upload_makes_room_for_another(begin: Begin, held: BodyBudget) -> None:
    held.silent_s = 0.0
    silent, small = begin(), begin()
    silent.body(b" " * 60_000, more=True)
    small.body(b" " * 4_000, more=True)
    await until_held(held, 64_000)

    other = begin()
    other.body(of_size(60_000))
    await asyncio.gather(other.task, silent.task)

    assert other.status == 200
    assert refusal(silent) == (503, "overloaded")
    assert headers(silent)[b"connection"] == b"close"
    assert headers(silent)[b"retry-after"] == b"1"
    assert not small.task.done()
    small.leave()
    await small.task


async def test_upload_that_goes_on_is_not_dropped_for_another(begin: Begin, held: BodyBudget) -> None:
    held.silent_s = 60.0
    going_on = begin()
    going_on.body(b" " * 60_000, more=True)
    await until_held(held, 60_000)

    other = begin()
    other.body(of_size(60_000))
    await other.task
    going_on.body(of_size(20_000))
    await going_on.task

    assert refusal(other) == (503, "overloaded")
    assert going_on.status == 200


async def test_large_uploads_leave_room_for_small_bodies(begin: Begin, held: BodyBudget) -> None:
    """A burst of them takes all that they may within a second, so that none is silent yet."""
    held.silent_s = 60.0
    large = [begin() for _ in range(4)]
    for call in large:
        call.body(b" " * 29_000, more=True)
    (refused,), others = await asyncio.wait([call.task for call in large], return_when=asyncio.FIRST_COMPLETED)
    await until_held(held, 87_000)

    small = begin()
    small.body(of_size(1_000))
    await small.task

    assert [refusal(call) for call in large if call.task is refused] == [(503, "overloaded")]
    assert small.status == 200
    for call in large:
        call.leave()
    await asyncio.gather(*others)


async def test_body_counts_until_its_request_has_ended(begin: Begin, engine: object) -> None:
    engine.step_s = 0.05  # type: ignore[attr-defined]
    running = begin()
    running.body(of_size(60_000)[:-1] + b', "stream": true}')
    await running.frames(1)

    during, after = begin(), begin()
    during.body(of_size(60_000))
    await asyncio.gather(during.task, running.task)
    after.body(of_size(60_000))
    await after.task

    assert refusal(during) == (503, "overloaded")
    assert after.status == 200


@pytest.mark.parametrize("leave", [True, False])
async def test_nothing_is_held_in_the_end(begin: Begin, held: BodyBudget, leave: bool) -> None:
    calls = [begin() for _ in range(5)]
    for call in calls:
        call.body(b" " * 15_000, more=True)
    await until_held(held, 75_000)

    for call in calls:
        if leave:
            call.leave()
        else:
            call.body(of_size(500))
    await asyncio.gather(*(call.task for call in calls))

    assert held.held_bytes == 0
    assert not held._arriving
    assert not held._begun
