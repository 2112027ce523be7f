"""A client that leaves in the middle of a stream, seen from outside: the engine's process stops working for it."""

from __future__ import annotations

import httpx2
import psutil
import pytest

from sightline.local import LocalService
from support.live import engine_process, question, recitation, wait_for

pytestmark = pytest.mark.e2e

CHAT = "/v1/chat/completions"
CLIENTS = 6


def test_engine_stops_working_for_clients_that_leave(http: httpx2.Client, service: LocalService) -> None:
    engine = engine_process(service, "genai")
    asked = question("Go on.", response_format=recitation(), stream=True)
    began_s = spent_s(engine)
    with http.stream("POST", CHAT, json=asked) as stream:
        assert list(stream.iter_lines())[-2] == "data: [DONE]"
    whole_s = spent_s(engine) - began_s

    began_s = spent_s(engine)
    for _ in range(CLIENTS):
        with http.stream("POST", CHAT, json=asked) as stream:
            next(stream.iter_lines())
    wait_for_rest(engine)
    left_s = spent_s(engine) - began_s

    # Each took its prompt and a few steps. Had one in six gone on to its end, it alone would have spent this much.
    assert left_s < whole_s * CLIENTS / 3


def spent_s(process: psutil.Process) -> float:
    """Processor time of a process so far: other work on the machine does not count."""
    times = process.cpu_times()
    return float(times.user + times.system)


def wait_for_rest(process: psutil.Process) -> None:
    """Wait until a process no longer works."""
    wait_for(lambda: process.cpu_percent(interval=0.3) < 10)


def test_slot_of_a_client_that_left_goes_to_the_next(http: httpx2.Client, service: LocalService) -> None:
    asked = question("Go on.", response_format=recitation(), stream=True)

    # More clients than the engine has slots come and leave; none of their slots may stay taken.
    for _ in range(40):
        with http.stream("POST", CHAT, json=asked) as stream:
            next(stream.iter_lines())
    answer = http.post(CHAT, json=question("Go on.", max_tokens=1))

    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] <= 1
