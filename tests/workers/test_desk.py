"""The desk and the workers that ask it, over real socket pairs: what several processes count together."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest

from sightline import metrics
from sightline.admission.admit import PREVIEWS, Admission
from sightline.admission.limits import RateLimits
from sightline.core import KeyLimits
from sightline.errors import EngineOverloaded, EngineUnavailable, RateLimitExceeded
from sightline.settings import RequestLimits, Settings
from sightline.workers.desk import Desk, News
from sightline.workers.messages import Counts, Hangs, Listening, Series, Unable
from sightline.workers.remote import DeskLine, RemoteAdmission, RemoteBuckets, metrics_text
from support.asgi import until

pytestmark = pytest.mark.anyio
SETTINGS = Settings(limits=RequestLimits(max_running=2, max_waiting=2, max_in_flight=6))


class Office:
    """A desk, and lines to it as workers have them."""

    def __init__(self) -> None:
        self.desk = Desk(Admission.of(SETTINGS))
        self.said: list[News] = []
        self.gone: list[DeskLine] = []

    async def worker(self) -> DeskLine:
        """One more at the desk."""
        theirs, ours = socket.socketpair()
        line = DeskLine(on_gone=lambda: self.gone.append(line))
        await self.desk.open(theirs, self.said.append)
        await asyncio.get_running_loop().create_unix_connection(lambda: line.channel, sock=ours)
        return line

    def close(self) -> None:
        """Hang up on all."""
        for visitor in list(self.desk.visitors):
            visitor.channel.close()


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    yield office
    office.close()
    await asyncio.sleep(0.01)


async def enter(admission: Admission, key: str = "key", most: int | None = None) -> AsyncExitStack:
    """A request with its place; `aclose` ends it."""
    stack = AsyncExitStack()
    await stack.enter_async_context(admission.admit("model", key, most))
    return stack


def soon(work: Coroutine[Any, Any, AsyncExitStack]) -> asyncio.Task[AsyncExitStack]:
    return asyncio.create_task(work)


async def test_answers_of_one_request_take_places_from_other_workers(office: Office) -> None:
    one, other = [RemoteAdmission(SETTINGS, await office.worker()) for _ in range(2)]
    async with one.admit("model", "key", places=SETTINGS.max_running):
        waiting = soon(enter(other))
        await asyncio.sleep(0.01)
        assert not waiting.done()
    await (await waiting).aclose()


async def test_places_are_those_of_all_workers_together(office: Office) -> None:
    one, other = [RemoteAdmission(SETTINGS, await office.worker()) for _ in range(2)]
    first, second = await enter(one), await enter(other)
    third = soon(enter(other))
    await until(lambda: office.desk.admission.waiting == 1)

    await first.aclose()

    place = await third
    assert office.desk.admission.in_flight == 2
    await second.aclose()
    await place.aclose()
    await until(lambda: office.desk.admission.in_flight == 0)


async def test_full_line_is_refused_in_the_desks_words(office: Office) -> None:
    one, other = [RemoteAdmission(SETTINGS, await office.worker()) for _ in range(2)]
    places = [await enter(one), await enter(other)]
    waiting = [soon(enter(one)), soon(enter(other))]
    await until(lambda: office.desk.admission.waiting == 2)

    with pytest.raises(EngineOverloaded, match="2 requests to this model are running and 2 are waiting") as refusal:
        await enter(one)

    assert refusal.value.retry_after_s
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for place in places:
        await place.aclose()
    await until(lambda: office.desk.admission.in_flight == 0)


async def test_keys_of_different_workers_take_turns(office: Office) -> None:
    one, other = [RemoteAdmission(SETTINGS, await office.worker()) for _ in range(2)]
    places = [await enter(one, "greedy"), await enter(one, "greedy")]
    greedy = [soon(enter(one, "greedy")), soon(enter(one, "greedy"))]
    await until(lambda: office.desk.admission.waiting == 2)

    modest = soon(enter(other, "modest"))

    with pytest.raises(EngineOverloaded):  # the newest of the greediest gives way
        await greedy[1]
    for place in places:
        await place.aclose()
    for task in (greedy[0], modest):
        await (await task).aclose()
    await until(lambda: office.desk.admission.in_flight == 0)


async def test_keys_requests_in_flight_are_counted_together(office: Office) -> None:
    one, other = [RemoteAdmission(SETTINGS, await office.worker()) for _ in range(2)]
    place = await enter(one, "key", 1)

    with pytest.raises(RateLimitExceeded, match="its limit is 1"):
        await enter(other, "key", 1)
    with pytest.raises(RateLimitExceeded):
        async with other.admit(PREVIEWS, "key", 1):
            pass

    await place.aclose()
    await until(lambda: office.desk.admission.in_flight == 0)
    async with other.admit(PREVIEWS, "key", 1):
        assert office.desk.admission.in_flight == 1


async def test_request_whose_answer_is_made_has_no_place_and_is_in_flight(office: Office) -> None:
    one, other = [RemoteAdmission(SETTINGS, await office.worker()) for _ in range(2)]
    async with one.admit("m", "key", 1) as place:
        place.leave()
        await until(lambda: office.desk.admission._lines["m"].running == 0)

        assert office.desk.admission.in_flight == 1
        with pytest.raises(RateLimitExceeded):
            await enter(other, "key", 1)
    await until(lambda: office.desk.admission.in_flight == 0)


async def test_workers_know_when_all_is_full_without_asking(office: Office) -> None:
    one, other = [RemoteAdmission(SETTINGS, await office.worker()) for _ in range(2)]
    assert other.would_refuse("key") is None

    async with AsyncExitStack() as places:
        for number in range(SETTINGS.limits.max_in_flight):
            await places.enter_async_context(one.admit(f"model {number}", "key"))
        await until(lambda: other.would_refuse("key") is not None)
        refusal = other.would_refuse("key")
        assert other.would_refuse("key") is not refusal  # what is raised again and again would grow by its traces

    assert isinstance(refusal, EngineOverloaded)
    assert "the limit is 6" in refusal.message
    await until(lambda: other.would_refuse("key") is None)


async def test_workers_hear_that_there_is_room_when_waiting_requests_leave(office: Office) -> None:
    one, other = [RemoteAdmission(SETTINGS, await office.worker()) for _ in range(2)]
    places = [await enter(one), await enter(one)]
    waiting = [soon(enter(one)), soon(enter(one))]
    await until(lambda: office.desk.admission.waiting == 2)

    async with AsyncExitStack() as more:
        for number in range(2):
            await more.enter_async_context(one.admit(f"model {number}", "key"))
        await until(lambda: other.would_refuse("key") is not None)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

        await until(lambda: other.would_refuse("key") is None)
    for place in places:
        await place.aclose()
    await until(lambda: office.desk.admission.in_flight == 0)


async def test_places_of_a_worker_that_dies_are_free_again(office: Office) -> None:
    dying = await office.worker()
    other = RemoteAdmission(SETTINGS, await office.worker())
    admission = RemoteAdmission(SETTINGS, dying)
    held = [await enter(admission), await enter(admission)]
    waiting = soon(enter(other))
    await until(lambda: office.desk.admission.waiting == 1)

    dying.channel.close()

    place = await waiting
    assert office.desk.admission.in_flight == 1
    await place.aclose()
    for one in held:
        await one.aclose()
    assert office.gone == [dying]
    with pytest.raises(EngineUnavailable):
        await enter(admission)


async def test_draining_worker_refuses_by_itself(office: Office) -> None:
    admission = RemoteAdmission(SETTINGS, await office.worker())
    admission.draining = True

    with pytest.raises(EngineOverloaded, match="stopping"):
        await enter(admission)

    assert office.desk.admission.in_flight == 0


async def test_rate_limits_are_those_of_all_workers_together(office: Office) -> None:
    one, other = [RateLimits(buckets=RemoteBuckets(await office.worker())) for _ in range(2)]
    limits = KeyLimits(requests_per_min=2, tokens_per_min=100)

    windows = [await limit.take_request("key", limits) for limit in (one, other)]
    with pytest.raises(RateLimitExceeded) as refusal:
        await one.take_request("key", limits)
    await one.reserve_tokens("key", limits, 100)
    await one.settle_tokens("key", limits, 100, 10)
    left = await one.reserve_tokens("key", limits, 80)
    with pytest.raises(RateLimitExceeded):
        await other.reserve_tokens("key", limits, 80)

    assert [window.remaining for window in windows if window] == [1, 0]
    assert refusal.value.retry_after_s == 30
    assert left is not None
    assert left.remaining in (10, 11)
    await one.close()


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], float]:
    """A table of metrics of this test's own; reads a line of the text that Prometheus gets."""
    requests = metrics.Counter("test_requests", "Requests.", ("route",), {("/a",): 1.0})
    seconds = metrics.Histogram("test_seconds", "Time.", (1.0,), (), {(): [1, 2]}, {(): 7.0})
    gauge = metrics.Gauge("test_gauge", "Now.", lambda: 3)
    monkeypatch.setattr(metrics, "ALL", (requests, seconds, gauge))
    texts: list[bytes] = []

    def read(line: str, text: bytes | None = None) -> float:
        if text is not None:
            texts.append(text)
        [found] = [one for one in texts[-1].decode().splitlines() if one.startswith(line + " ")]
        return float(found.split(" ")[1])

    return read


async def test_metrics_are_the_sum_of_all_workers_the_dead_included(
    office: Office, counter: Callable[..., float]
) -> None:
    """Workers of this process count in the same table as the desk itself: the sum is three times what is there."""
    one, dying = [await office.worker() for _ in range(2)]

    before = await metrics_text(one)
    dying.channel.close()
    await until(lambda: office.gone != [])
    after = await metrics_text(one)

    for text in (before, after):
        assert counter('test_requests_total{route="/a"}', text) == 3
        assert counter("test_seconds_count") == 9
        assert counter("test_seconds_sum") == 21
        assert counter('test_seconds_bucket{le="1.0"}') == 3
        assert counter("test_gauge") == 3  # the desk's alone


async def test_worker_that_does_not_say_what_it_counted_holds_up_nobody(
    office: Office, counter: Callable[..., float]
) -> None:
    one = await office.worker()
    silent, theirs = socket.socketpair()
    with silent:
        await office.desk.open(theirs, office.said.append)

        text = await asyncio.wait_for(metrics_text(one), 5)

    assert counter('test_requests_total{route="/a"}', text) == 2


async def test_parent_hears_what_is_not_the_desks_business(office: Office) -> None:
    line = await office.worker()

    line.tell(Listening())
    line.tell(Unable("no engine"))
    line.tell(Hangs(1))
    line.tell(Counts((Series("x", (), 1.0),)))
    await until(lambda: len(office.said) == 3)

    assert office.said == [Listening(), Unable("no engine"), Hangs(1)]
