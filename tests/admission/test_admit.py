"""A place for each running request: who gets it, who waits, who is refused, given back however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.admission.admit import Admission
from sightline.errors import EngineOverloaded, RateLimitExceeded
from support.permits import Request, admitted, end_all, turns
from support.virtual_time import run_virtually

pytestmark = pytest.mark.anyio
always = settings(max_examples=200, derandomize=True, deadline=None)


async def fill(admission: Admission, *keys: str) -> list[Request]:
    requests = []
    for key in keys:
        requests.append(Request(admission, key))
        await turns(1)
    return requests


async def refused_at_once(admission: Admission, key: str = "key", model: str = "model") -> EngineOverloaded:
    """Try without giving the loop a single turn."""
    with pytest.raises(EngineOverloaded) as caught:
        admitted(admission, model, key).__aenter__().send(None)
    return caught.value


async def test_place_is_given_back_after_use_and_after_failure() -> None:
    admission = Admission(1, 0)

    async with admitted(admission):
        assert admission.in_flight == 1
    with pytest.raises(ZeroDivisionError):
        async with admitted(admission):
            raise ZeroDivisionError

    await end_all(admission, [])


async def test_who_leaves_the_model_makes_room_and_is_still_in_flight() -> None:
    admission = Admission(1, 0)

    async with admitted(admission) as permit:
        permit.release()
        async with admitted(admission):
            assert admission.in_flight == 2
        assert admission.in_flight == 1

    await end_all(admission, [])


async def test_one_more_than_run_waits_and_one_more_than_wait_is_refused_at_once() -> None:
    admission = Admission(1, 1)
    running, waiting = requests = await fill(admission, "key", "key")

    refusal = await refused_at_once(admission)

    assert (running.has_permit, waiting.has_permit) == (True, False)
    assert "1 requests to this model are running and 1 are waiting, the limits are 1 and 1" in refusal.message
    assert refusal.retry_after_s == 1
    running.end()
    await turns()
    assert waiting.has_permit
    await end_all(admission, requests)


async def test_models_have_lines_of_their_own() -> None:
    admission = Admission(1, 0)

    async with admitted(admission, "one"), admitted(admission, "other"):
        assert admission.in_flight == 2


async def test_keys_take_turns_and_a_keys_own_requests_keep_their_order() -> None:
    admission = Admission(1, 9)
    first, *waiting = requests = await fill(admission, "x", "a", "a", "a", "b", "b", "c")
    order = []
    first.end()
    for _ in waiting:
        await turns()
        [now] = [request for request in waiting if request.has_permit]
        order.append(f"{now.key}{[one for one in waiting if one.key == now.key].index(now)}")
        now.end()

    assert order == ["a0", "b0", "c0", "a1", "b1", "a2"]
    await end_all(admission, requests)


async def test_newest_of_the_greediest_key_gives_way_to_one_with_fewer() -> None:
    admission = Admission(1, 3)
    *_, oldest, middle, newest = requests = await fill(admission, "greedy", "greedy", "greedy", "greedy")

    [light] = await fill(admission, "light")
    await turns()

    with pytest.raises(EngineOverloaded, match="send the request again"):
        newest.task.result()
    assert not oldest.task.done()
    assert not middle.task.done()
    assert not light.task.done()
    await refused_at_once(admission, "greedy")
    requests[0].end()
    await turns()
    assert oldest.has_permit
    oldest.end()
    await turns()
    assert light.has_permit
    await end_all(admission, [*requests, light])


async def test_key_takes_no_more_of_the_line_than_it_leaves_free_beside_others() -> None:
    """Who comes next then finds room, and nobody who has waited is refused for it."""
    admission = Admission(1, 8)
    requests = await fill(admission, "other", "greedy", "greedy", "greedy", "greedy")

    await refused_at_once(admission, "greedy")

    requests += await fill(admission, "light", "light")
    await refused_at_once(admission, "light")
    assert not any(request.task.done() for request in requests)
    await end_all(admission, requests)


async def test_key_that_is_alone_has_the_whole_line() -> None:
    admission = Admission(1, 8)

    requests = await fill(admission, *["greedy"] * 9)

    await refused_at_once(admission, "greedy")
    await end_all(admission, requests)


async def test_body_need_not_be_read_where_every_model_would_refuse() -> None:
    admission = Admission(1, 0)
    requests = await fill(admission, "key")

    with pytest.raises(EngineOverloaded):
        admission.check_capacity("key", None, ["model"])
    admission.check_capacity("key", None, ["model", "other"])
    admission.check_capacity("key", None, [])
    await end_all(admission, requests)


async def test_waiting_is_not_taken_from_one_who_has_no_more() -> None:
    """Else two keys would throw each other out for ever, and nothing would be gained."""
    admission = Admission(1, 2)
    requests = await fill(admission, "x", "a", "b")

    await refused_at_once(admission, "c")
    await refused_at_once(admission, "a")
    await refused_at_once(admission, "x")

    await end_all(admission, requests)


async def test_single_waiting_place_does_not_stay_with_the_greedy_key() -> None:
    admission = Admission(1, 1)
    requests = await fill(admission, "greedy", "greedy")

    requests += await fill(admission, "light")

    await refused_at_once(admission, "greedy")
    requests[0].end()
    await turns()
    assert requests[2].has_permit
    await end_all(admission, requests)


async def test_key_has_no_more_in_flight_than_its_own_limit() -> None:
    admission = Admission(1, 9)
    requests = await fill(admission, "mine", "mine", "other")

    told = "2 requests of this key are running or waiting, its limit is 2"
    with pytest.raises(RateLimitExceeded, match=told) as early:
        admission.check_capacity("mine", 2)
    with pytest.raises(RateLimitExceeded, match=told) as late, admission.admit("mine", 2):
        pass

    assert early.value.retry_after_s == late.value.retry_after_s == 1
    admission.check_capacity("mine", 3)
    admission.check_capacity("mine")
    admission.check_capacity("other", 2)
    with pytest.raises(RateLimitExceeded) as never:
        admission.check_capacity("other", 0)
    assert never.value.retry_after_s is None
    await end_all(admission, requests)


async def test_process_has_no_more_in_flight_than_the_total() -> None:
    admission = Admission(1, 1, max_in_flight=2)

    with admission.admit("key"), admission.admit("key"):
        with pytest.raises(EngineOverloaded, match="2 requests are running or waiting, the limit is 2"):
            admission.check_capacity("another")
        await refused_at_once(admission, "another")
        with pytest.raises(EngineOverloaded), admission.admit("key"):
            pass

    admission.check_capacity("another")
    await end_all(admission, [])


async def test_draining_refuses_new_ones_and_lets_the_rest_finish() -> None:
    admission = Admission(1, 5)
    running, waiting = requests = await fill(admission, "key", "key")

    admission.draining = True

    assert "stopping" in (await refused_at_once(admission)).message
    assert admission.in_flight == 2
    running.end()
    await turns()
    assert waiting.has_permit
    await end_all(admission, requests)


async def test_leaver_in_the_line_frees_its_place_at_once() -> None:
    admission = Admission(1, 1)
    running, waiting = requests = await fill(admission, "key", "key")

    waiting.task.cancel()
    await turns(1)

    assert admission.in_flight == 1
    requests += await fill(admission, "key")
    running.end()
    await turns()
    assert requests[2].has_permit
    await end_all(admission, requests)


@pytest.mark.parametrize(
    "steps", ["end cancel", "cancel end", "end turn cancel", "cancel turn end", "cancel cancel end"]
)
async def test_leaver_at_the_instant_of_its_turn_hands_it_on(steps: str) -> None:
    admission = Admission(1, 5)
    running, client, following = requests = await fill(admission, "a", "a", "b")
    does: dict[str, Callable[[], Awaitable[None] | bool | None]] = {
        "end": running.end,
        "cancel": client.task.cancel,
    }

    for step in steps.split():
        if step == "turn":
            await turns(1)
        else:
            does[step]()
    await turns()

    assert client.task.cancelled()
    assert following.has_permit
    await end_all(admission, requests)


async def test_cancelled_and_refused_in_one_instant_is_gone_once() -> None:
    admission = Admission(1, 1)
    running, victim = requests = await fill(admission, "greedy", "greedy")
    async with AsyncExitStack() as stack:
        entering = asyncio.create_task(stack.enter_async_context(admitted(admission, key="light")))
        await turns(1)

        victim.task.cancel()
        await turns()
        running.end()
        await entering

        assert victim.task.cancelled()
        assert admission.in_flight == 1
    await end_all(admission, requests)


def test_time_to_come_back_follows_the_service_time_and_the_line() -> None:
    async def after(service_s: float, waiting: int) -> float | None:
        admission = Admission(2, waiting, clock=asyncio.get_running_loop().time)
        async with admitted(admission):
            await asyncio.sleep(service_s)
        requests = await fill(admission, *["key"] * (2 + waiting))
        refusal = await refused_at_once(admission)
        with pytest.raises(RateLimitExceeded) as own:
            admission.check_capacity("key", 1)
        assert own.value.retry_after_s == max(1, service_s)
        await end_all(admission, requests)
        return refusal.retry_after_s

    assert run_virtually(after(0.01, 5)) == 1
    assert run_virtually(after(4, 5)) == 12
    assert run_virtually(after(4, 0)) == 2
    assert run_virtually(after(60, 47)) == 48 * 60 / 2


operations = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from("aaaabbc")),
        st.tuples(st.sampled_from(["end", "fail", "cancel"]), st.integers(0, 30)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
    ),
    max_size=80,
)


@always
@given(max_running=st.integers(1, 3), max_queued=st.integers(0, 4), steps=operations)
def test_no_order_of_events_loses_a_place(max_running: int, max_queued: int, steps: list[tuple[str, object]]) -> None:
    async def play() -> None:
        admission, requests = Admission(max_running, max_queued), list[Request]()
        for kind, which in steps:
            if kind == "come":
                requests.append(Request(admission, str(which)))
            elif kind == "turn":
                await turns(int(str(which)))
            elif requests:
                request = requests[int(str(which)) % len(requests)]
                if kind == "cancel":
                    request.task.cancel()
                else:
                    request.end(ZeroDivisionError() if kind == "fail" else None)
            for queue in admission._queues.values():
                assert queue.running <= max_running
                assert queue.waiting <= max_queued
                assert not queue.waiting or queue.running == max_running
        await turns()
        assert admission.in_flight == sum(not request.task.done() for request in requests)
        assert sum(request.has_permit for request in requests) == min(admission.in_flight, max_running)
        await end_all(admission, requests)
        for request in requests:
            with suppress(asyncio.CancelledError):
                assert isinstance(request.task.exception(), EngineOverloaded | ZeroDivisionError | None)

    run_virtually(play())
