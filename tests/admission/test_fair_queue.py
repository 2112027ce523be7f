"""Requests of several answers: a place for each."""

from __future__ import annotations

import pytest

from sightline.admission.admit import Admission
from sightline.errors import EngineOverloaded
from support.permits import Request, admitted, end_all, turns

pytestmark = pytest.mark.anyio


async def test_request_of_several_answers_takes_a_place_for_each() -> None:
    admission = Admission(max_running=4, max_queued=4)
    first, second = Request(admission, "many", permits=3), Request(admission, "many", permits=3)
    await turns()
    small = Request(admission, "few")
    await turns()
    assert [one.has_permit for one in (first, second, small)] == [True, False, False]  # the second comes first

    first.end()
    await turns()
    assert [one.has_permit for one in (second, small)] == [True, True]
    await end_all(admission, [first, second, small])


async def test_key_with_fewer_answers_has_its_turn_between_those_of_one_with_many() -> None:
    admission = Admission(max_running=4, max_queued=8)
    many = [Request(admission, "many", permits=4) for _ in range(3)]
    await turns()
    few = Request(admission, "few")
    await turns()

    many[0].end()
    await turns()
    many[1].end()
    await turns()

    assert few.has_permit
    assert not many[2].has_permit
    await end_all(admission, [*many, few])


async def test_more_answers_than_places_take_them_all() -> None:
    admission = Admission(max_running=2, max_queued=1)
    request = Request(admission, permits=8)
    await turns()

    assert request.has_permit
    assert not admission.has_room("model")
    await end_all(admission, [request])


async def test_several_answers_do_not_wait_where_nobody_may() -> None:
    admission = Admission(max_running=4, max_queued=0)
    running = Request(admission)
    await turns()

    with pytest.raises(EngineOverloaded):
        admitted(admission, permits=4).__aenter__().send(None)
    await end_all(admission, [running])


async def test_who_leaves_the_line_does_not_hold_up_those_behind() -> None:
    admission = Admission(max_running=4, max_queued=4)
    running, large = Request(admission), Request(admission, "large", permits=4)
    await turns()
    small = Request(admission, "small")
    await turns()
    assert not small.has_permit

    large.task.cancel()
    await turns()

    assert small.has_permit
    await end_all(admission, [running, small])
