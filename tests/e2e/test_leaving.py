"""A client that leaves in the middle of a stream, seen from outside: the engine's process stops working for it."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest

from sightline.testing.live_server import LiveServer
from support.live import engine_process, question, recitation, wait_for

pytestmark = pytest.mark.e2e

CHAT = "/v1/chat/completions"
CLIENTS = 6


def test_engine_stops_working_for_clients_that_leave(http: httpx2.Client, service: LiveServer) -> None:
    engine = engine_process(service, "genai")
    asked = question("Go on.", response_format=recitation(), stream=True)
    began_s = spent_s(engine)
    with http.stream("POST", CHAT, json=asked) as stream:
        assert list(stream.iter_lines())[-2] == "data: [DONE]"
    whole_s = spent_s(engine) - began_s

    spent = [one for _ in range(CLIENTS) if (one := spent_after_leaving_s(http, engine, asked)) is not None]

    # A few steps each. Had one in three gone on to its end, they would have spent this much.
    assert spent
    assert sum(spent) < whole_s * len(spent) / 3


def spent_after_leaving_s(http: httpx2.Client, engine: psutil.Process, asked: dict[str, Any]) -> float | None:
    """What the engine still works after a client has left; None if it had finished before.

    It stands still until the service knows that the client is gone: on a busy machine that takes a while.
    """
    try:
        with http.stream("POST", CHAT, json=asked) as stream:
            lines = stream.iter_lines()  # kept: an iterator that is dropped closes its connection
            next(lines)
            engine.suspend()
            was_working = in_flight(http) > 0
        wait_for(lambda: in_flight(http) == 0)
        began_s = spent_s(engine)
    finally:
        engine.resume()
    wait_for_rest(engine)
    return spent_s(engine) - began_s if was_working else None


def in_flight(http: httpx2.Client) -> int:
    """How many requests the service works on."""
    lines = http.get("/metrics").text.splitlines()
    return round(next(float(line.split()[1]) for line in lines if line.startswith("sightline_requests_in_flight ")))


def spent_s(process: psutil.Process) -> float:
    """Processor time of a process so far: other work on the machine does not count."""
    times = process.cpu_times()
    return float(times.user + times.system)


def wait_for_rest(process: psutil.Process) -> None:
    """Wait until a process no longer works."""
    wait_for(lambda: process.cpu_percent(interval=0.3) < 10)


def test_slot_of_a_client_that_left_goes_to_the_next(http: httpx2.Client, service: LiveServer) -> None:
    asked = question("Go on.", response_format=recitation(), stream=True)

    # More clients than the engine has slots come and leave; none of their slots may stay taken.
    for _ in range(40):
        with http.stream("POST", CHAT, json=asked) as stream:
            next(stream.iter_lines())
    answer = http.post(CHAT, json=question("Go on.", max_tokens=1))

    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] <= 1


def test_key_is_revoked_although_who_asked_for_it_does_not_wait(http: httpx2.Client, service: LiveServer) -> None:
    """By a time limit of theirs, an interrupt or a proxy: what reads no body is carried out."""
    url = urlsplit(service.url)
    for _ in range(8):
        key_id = http.post("/v1/admin/keys", json={"name": "Ada"}).json()["id"]
        with socket.create_connection((url.hostname, url.port)) as client:
            head = (
                f"DELETE /v1/admin/keys/{key_id} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {service.api_key}\r\n\r\n"
            )
            client.sendall(head.encode())

        wait_for(lambda key=key_id: http.get(f"/v1/admin/keys/{key}").json()["state"] == "revoked", 5)
