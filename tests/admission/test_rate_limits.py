"""Requests and tokens a minute: what passes, what is refused with which words, what is given back."""

from __future__ import annotations

import asyncio
import math
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.admission.rate_limits.base import RateLimitStatus
from sightline.admission.rate_limits.limiter import RateLimits, duration, rate_headers
from sightline.admission.rate_limits.memory import MemoryRateLimitStore
from sightline.core import KeyLimits
from sightline.errors import ConfigError, RateLimitExceeded, StoreUnavailable
from support.redis_server import RedisServer

pytestmark = pytest.mark.anyio
always = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
moments = st.integers(0, 130_000).map(lambda ms: ms / 1000)


class Clock:
    """Goes on by a microsecond with each reading, as clocks do, and by what it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="sl-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture(params=["memory", "redis"])
async def opened(request: pytest.FixtureRequest) -> AsyncIterator[Callable[[], RateLimits]]:
    """Open limits as one process would; in memory there is but one."""
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    limits = [RateLimits.open(url)]

    def another() -> RateLimits:
        limits.append(RateLimits.open(url) if url else limits[0])
        return limits[-1]

    yield another
    for one in limits:
        await one.close()


async def left(limits: RateLimits, key: str, allowed: KeyLimits) -> int:
    window = await limits.reserve_tokens(key, allowed, 0)
    assert window is not None
    return window.remaining


async def passes(limits: RateLimits, allowed: KeyLimits, cost: int) -> bool:
    return await refusal_s(limits, allowed, cost) == 0


async def refusal_s(limits: RateLimits, allowed: KeyLimits, cost: int) -> float:
    """When a reservation is told to come back; 0 if it was taken, endless if it never can be."""
    try:
        await limits.reserve_tokens("key", allowed, cost)
    except RateLimitExceeded as refused:
        return refused.retry_after_s or math.inf
    return 0


async def test_key_without_limits_is_not_counted() -> None:
    limits = RateLimits.open()

    assert await limits.take_request("key", KeyLimits()) is None
    assert await limits.reserve_tokens("key", KeyLimits(), 10**9) is None
    await limits.settle_tokens("key", KeyLimits(), 10**9, 1)


async def test_requests_up_to_the_limit_pass_and_the_next_is_refused(opened: Callable[[], RateLimits]) -> None:
    one, other, allowed = opened(), opened(), KeyLimits(requests_per_min=4)

    windows = [await limits.take_request("many", allowed) for limits in (one, other, one, other)]
    with pytest.raises(RateLimitExceeded) as caught:
        await one.take_request("many", allowed)
    untouched = await one.take_request("another", allowed)

    assert [window.remaining for window in windows if window] == [3, 2, 1, 0]
    assert all(window and window.limit == 4 and 0 < window.reset_s <= 60 for window in windows)
    assert caught.value.message == ("This key's limit is 4 requests a minute, and none is left; send it again in 15 s.")
    assert caught.value.retry_after_s == 15
    assert untouched
    assert untouched.remaining == 3


async def test_refused_reservation_says_what_is_left_and_takes_nothing(opened: Callable[[], RateLimits]) -> None:
    limits, allowed = opened(), KeyLimits(tokens_per_min=10)
    await limits.reserve_tokens("refused", allowed, 7)

    with pytest.raises(
        RateLimitExceeded, match="needs up to 5 tokens, this key's limit is 10 a minute, and 3 are left"
    ):
        await limits.reserve_tokens("refused", allowed, 5)

    assert await left(limits, "refused", allowed) == 3


@pytest.mark.parametrize("limit", [0, 9])
async def test_reservation_beyond_a_minutes_worth_says_that_waiting_does_not_help(limit: int) -> None:
    with pytest.raises(RateLimitExceeded, match="can never pass; lower max_completion_tokens") as caught:
        await RateLimits.open().reserve_tokens("key", KeyLimits(tokens_per_min=limit), 10)

    assert caught.value.retry_after_s is None


async def test_limit_of_no_requests_lets_none_pass() -> None:
    with pytest.raises(RateLimitExceeded, match="may make no requests") as caught:
        await RateLimits.open().take_request("key", KeyLimits(requests_per_min=0))

    assert caught.value.retry_after_s is None


@pytest.mark.parametrize(
    ("reserved", "used", "remaining"),
    [(6, 6, 4), (6, 2, 8), (6, 0, 10), (6, 9, 1), (6, 10, 0), (6, 1000, 0), (0, 3, 7), (0, 0, 10)],
)
async def test_settling_leaves_what_was_not_used(
    opened: Callable[[], RateLimits], reserved: int, used: int, remaining: int
) -> None:
    """A refund that fills the bucket up again counts too; one who used more than there was owes nothing."""
    limits, allowed, key = opened(), KeyLimits(tokens_per_min=10), f"{reserved}-{used}"
    await limits.reserve_tokens(key, allowed, reserved)

    await limits.settle_tokens(key, allowed, reserved, used)

    assert await left(limits, key, allowed) == remaining


async def test_refund_cannot_make_more_than_a_minutes_worth(opened: Callable[[], RateLimits]) -> None:
    limits, allowed = opened(), KeyLimits(tokens_per_min=10)

    await limits.settle_tokens("full", allowed, 500, 0)

    assert await left(limits, "full", allowed) == 10
    await limits.reserve_tokens("full", allowed, 10)
    assert await left(limits, "full", allowed) == 0


@always
@given(limit=st.integers(1, 1000), steps=st.lists(st.tuples(moments, st.integers(0, 50)), min_size=1, max_size=150))
async def test_no_minute_lets_more_pass_than_the_limit_and_a_burst(
    clock: Clock, limit: int, steps: list[tuple[float, int]]
) -> None:
    limits, allowed, taken = RateLimits(MemoryRateLimitStore(clock)), KeyLimits(tokens_per_min=limit), []
    for moment, cost in sorted(steps):
        clock.now = max(clock.now, 1000 + moment)
        if await passes(limits, allowed, cost):
            taken.append((moment, cost))

    for start, _ in taken:
        assert sum(cost for moment, cost in taken if start <= moment < start + 60) <= 2 * limit
    assert taken or min(cost for _, cost in steps) > limit


@always
@given(
    limit=st.integers(1, 5000),
    before=st.integers(0, 5000),
    parts=st.lists(st.integers(1, 500), min_size=1, max_size=5),
    seconds=st.integers(0, 50),
)
async def test_refund_gives_back_exactly_what_was_reserved(
    clock: Clock, limit: int, before: int, parts: list[int], seconds: int
) -> None:
    """One key reserves and gives back, its twin does neither; in the end they have the same."""
    limits, allowed = RateLimits(MemoryRateLimitStore(clock)), KeyLimits(tokens_per_min=limit)
    for key in ("key", "twin"):
        await limits.reserve_tokens(key, allowed, min(before, limit))
    reserved = [part for part in parts if await passes(limits, allowed, part)]
    # The bucket must not fill up meanwhile: what overflows is lost for both, and a refund is then no gain.
    clock.now += min(seconds, 60 * min(before, limit) / limit)

    for part in reserved:
        await limits.settle_tokens("key", allowed, part, 0)

    assert await left(limits, "key", allowed) == await left(limits, "twin", allowed)


@always
@given(
    limit=st.integers(1, 600),
    before=st.lists(st.tuples(moments, st.integers(1, 100)), max_size=20),
    cost=st.integers(0, 599),
)
async def test_time_to_come_back_is_right_to_the_second(
    clock: Clock, limit: int, before: list[tuple[float, int]], cost: int
) -> None:
    limits, allowed = RateLimits(MemoryRateLimitStore(clock)), KeyLimits(tokens_per_min=limit)
    for moment, taken in sorted(before):
        clock.now = max(clock.now, 1000 + moment)
        await passes(limits, allowed, taken)
    needs = cost % limit + 1
    seconds = await refusal_s(limits, allowed, needs)
    asked = clock.now

    clock.now = asked + max(seconds - 1, 0)
    early = await passes(limits, allowed, needs) if seconds > 1 else False
    clock.now = asked + seconds
    in_time = seconds == 0 or await passes(limits, allowed, needs)

    assert not early
    assert in_time


async def test_clock_that_people_set_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, allowed = RateLimits.open(), KeyLimits(requests_per_min=1)
    await limits.take_request("key", allowed)

    monkeypatch.setattr(time, "time", lambda: 10.0**10)

    with pytest.raises(RateLimitExceeded):
        await limits.take_request("key", allowed)


async def test_nothing_runs_between_requests() -> None:
    loop: Any = asyncio.get_running_loop()
    threads, tasks, timers = threading.active_count(), len(asyncio.all_tasks()), set(loop._scheduled)
    limits = RateLimits.open()

    await limits.take_request("key", KeyLimits(requests_per_min=1))

    assert threading.active_count() == threads
    assert len(asyncio.all_tasks()) == tasks
    assert set(loop._scheduled) <= timers


async def test_settling_in_memory_never_waits() -> None:
    """So that the clean-up of a cancelled task comes through."""
    limits, allowed = RateLimits.open(), KeyLimits(tokens_per_min=10)
    await limits.reserve_tokens("key", allowed, 10)

    with pytest.raises(StopIteration):
        limits.settle_tokens("key", allowed, 10, 0).send(None)

    assert await left(limits, "key", allowed) == 10


async def test_redis_that_is_gone_is_503_until_it_is_back() -> None:
    with tempfile.TemporaryDirectory(prefix="sl-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        limits, allowed = RateLimits.open(server.url), KeyLimits(requests_per_min=5, tokens_per_min=5)
        await limits.take_request("key", allowed)

        server.stop()
        with pytest.raises(StoreUnavailable, match="Rate limits cannot be checked"):
            await limits.take_request("key", allowed)
        with pytest.raises(StoreUnavailable):
            await limits.reserve_tokens("key", allowed, 1)
        await limits.settle_tokens("key", allowed, 2, 1)

        server.start()
        assert await limits.take_request("key", allowed)
        await limits.close()
        server.stop()


async def test_redis_that_does_not_answer_is_503() -> None:
    pytest.importorskip("redis")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limits = RateLimits.open(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")

        with pytest.raises(StoreUnavailable):
            await limits.take_request("key", KeyLimits(requests_per_min=1))

        await limits.close()


def test_missing_redis_client_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sightline.admission.rate_limits.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(ConfigError, match="the extra 'redis' of this package"):
        RateLimits.open("redis://localhost:6379/0")


def test_address_that_is_none_is_refused_and_not_repeated() -> None:
    pytest.importorskip("redis")
    with pytest.raises(ConfigError, match="looks like redis://HOST:6379/0") as caught:
        RateLimits.open("http://user:secret@localhost")

    assert "secret" not in str(caught.value)


def test_headers_are_those_of_openai() -> None:
    headers = rate_headers(RateLimitStatus(60, 59, 1.0), RateLimitStatus(10_000, 0, 59.9999))

    assert headers == [
        (b"x-ratelimit-limit-requests", b"60"),
        (b"x-ratelimit-remaining-requests", b"59"),
        (b"x-ratelimit-reset-requests", b"1s"),
        (b"x-ratelimit-limit-tokens", b"10000"),
        (b"x-ratelimit-remaining-tokens", b"0"),
        (b"x-ratelimit-reset-tokens", b"1m0s"),
    ]
    assert rate_headers(None, None) == []
    assert [name for name, _ in rate_headers(None, RateLimitStatus(1, 1, 0))] == [
        f"x-ratelimit-{name}-tokens".encode() for name in ("limit", "remaining", "reset")
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0s"), (0.0001, "1ms"), (0.012, "12ms"), (0.9991, "1s"), (1, "1s"), (8.64, "8.64s")),
        *((59.9999, "1m0s"), (75.5, "1m15.5s"), (90, "1m30s"), (360, "6m0s")),
    ],
)
def test_duration_is_spelled_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text
