"""More work than can be done, on a virtual clock: nobody starves, capacity is used, refusals come at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from sightline.admission.admit import Admission
from sightline.errors import EngineOverloaded
from support.permits import admitted
from support.virtual_time import VirtualLoop, run_virtually

SERVICE_S = 0.5
MAX_RUNNING, WAITING = 8, 24
CAPACITY = MAX_RUNNING / SERVICE_S
LENGTH_S = 30.0


@dataclass
class Seen:
    """What became of the requests, by key; of each refusal the loop's turns and the seconds it took."""

    sent: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    refusals: list[tuple[int, float]] = field(default_factory=list)
    retry_after_s: list[float] = field(default_factory=list)


async def arrivals(rng: random.Random, per_s: float) -> AsyncIterator[None]:
    """Random arrivals at a steady rate, whatever becomes of the earlier ones."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(rng.expovariate(per_s))
        if loop.time() >= LENGTH_S:
            return
        yield


async def simulate(rates: dict[str, float]) -> Seen:
    """Send at these rates, by key, to a fake engine that takes about `SERVICE_S` for a request."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    admission, seen, rng = Admission(MAX_RUNNING, WAITING, clock=loop.time), Seen(), random.Random(7)

    async def request(key: str) -> None:
        turns, began = loop.turns, loop.time()
        try:
            async with admitted(admission, key=key):
                await asyncio.sleep(SERVICE_S * rng.uniform(0.5, 1.5))
        except EngineOverloaded as refusal:
            seen.refusals.append((loop.turns - turns, loop.time() - began))
            seen.retry_after_s.append(refusal.retry_after_s or 0)
        else:
            seen.done[key] += loop.time() <= LENGTH_S
            seen.latencies_s.append(loop.time() - began)

    async def send(key: str, per_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            async for _ in arrivals(rng, per_s):
                seen.sent[key] += 1
                group.create_task(request(key))

    async with asyncio.TaskGroup() as group:
        for key, per_s in rates.items():
            group.create_task(send(key, per_s))
    assert admission.in_flight == 0
    return seen


@pytest.mark.parametrize("load", [0.5, 0.9, 3.0])
def test_key_that_sends_a_hundred_times_as_much_starves_nobody(load: float) -> None:
    """`load`: what each of the other nine sends, in parts of a tenth of the capacity."""
    each = load * CAPACITY / 10
    others = [f"light{number}" for number in range(9)]

    seen = run_virtually(simulate({"greedy": 100 * each, **dict.fromkeys(others, each)}))

    for key in others:
        fair = min(seen.sent[key], CAPACITY * LENGTH_S / 10)
        assert seen.done[key] >= 0.9 * fair, (key, seen.done[key], seen.sent[key])
    assert seen.done.total() >= 0.9 * CAPACITY * LENGTH_S


def test_ten_times_the_capacity_leaves_the_throughput_and_refuses_at_once() -> None:
    seen = run_virtually(simulate({"only": 10 * CAPACITY}))

    assert seen.done.total() >= 0.9 * CAPACITY * LENGTH_S
    assert set(seen.refusals) == {(0, 0.0)}  # not even a turn of the loop
    assert max(seen.latencies_s) <= (WAITING / MAX_RUNNING + 1) * SERVICE_S * 1.5
    honest_s = (WAITING + 1) / CAPACITY
    assert all(1 <= seconds <= honest_s * 1.5 + 1 for seconds in seen.retry_after_s)


def test_ten_times_the_capacity_by_a_greedy_key_and_others_refuses_at_once_and_is_fair() -> None:
    equal = CAPACITY / 5
    rates = {"half": equal / 2, "another half": equal / 2, "two": equal * 2, "another two": equal * 2}
    rates["greedy"] = 10 * CAPACITY - sum(rates.values())

    seen = run_virtually(simulate(rates))

    fair = (CAPACITY - equal) / 3 * LENGTH_S
    for key in rates:
        assert seen.done[key] >= 0.9 * min(seen.sent[key], fair), (key, seen.done[key], seen.sent[key])
    assert seen.done.total() >= 0.9 * CAPACITY * LENGTH_S
    late = [seconds for _, seconds in seen.refusals if seconds > 0]
    assert len(late) < 0.01 * len(seen.refusals)  # those that gave way: p99 of all is at once
    assert min(seen.retry_after_s) >= 1


def test_many_keys_over_capacity_share_it() -> None:
    keys = [f"key{number}" for number in range(10)]

    seen = run_virtually(simulate(dict.fromkeys(keys, CAPACITY)))

    shares = [seen.done[key] / seen.done.total() for key in keys]
    assert seen.done.total() >= 0.9 * CAPACITY * LENGTH_S
    assert min(shares) >= 0.09
    assert max(shares) <= 0.11
