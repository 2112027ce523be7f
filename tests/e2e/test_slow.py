"""Clients that stop: each is closed at its deadline, whatever it stopped in, and its work with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from support.bodies import chat, raw
from support.failures import assert_error_body
from support.live import wait_for
from support.running import Running
from support.sockets import RawClient, answers, head
from support.watching import MemoryWatch

pytestmark = pytest.mark.e2e

TOML = """
[server]
header_timeout_s = 1.0
body_timeout_s = 2.0
write_timeout_s = 2.0
keep_alive_timeout_s = 0.5
max_connections = 40
max_buffered_bytes = 3_000_000
[limits]
max_in_flight = 2
"""
ANSWER = "x" * 20_000
BODY = raw("hello", max_tokens=1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("slow"), toml=TOML) as service:
        yield service


@pytest.fixture
def key(service: Running) -> str:
    return service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")


def ask(service: Running, key: str) -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{service.url}/v1/chat/completions", json=chat("hello"), headers=headers, timeout=30)


def sent_and_closed(url: str, sent: bytes) -> bytes:
    """Send the beginning of a request; what comes until the other side closes."""
    with RawClient(url) as client:
        client.send(sent)
        return client.until_closed()


def test_who_stops_in_the_middle_is_answered_and_closed(service: Running, key: str) -> None:
    """When is tested on a clock that jumps: `tests/server/test_connection.py`."""
    begun = head(key, "content-length: 1000000")
    heads = [b"G", b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx: y"]
    bodies = [begun + part for part in (b"", b"x", BODY[:-1], b" " * 900_000)]
    with ThreadPoolExecutor(8) as threads:
        silent = threads.submit(sent_and_closed, service.url, b"")
        stopped = [threads.submit(sent_and_closed, service.url, sent) for sent in (*heads, *bodies)]

    assert silent.result() == b""
    for one in stopped:
        [(status, body)] = answers(one.result())
        assert_error_body(body, status, "request_timeout")
        assert status == 408
        assert b"connection: close" in one.result()


def test_reader_that_stops_loses_its_stream_and_its_place(tmp_path: Path) -> None:
    toml = TOML.replace("max_in_flight = 2", "max_in_flight = 1")
    body = raw("word " * 4000, stream=True, n=4)
    with Running(tmp_path, toml=toml) as service:
        key = service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")
        assert ask(service, key).status_code == 200
        with RawClient(service.url, receive_buffer_bytes=4096) as client:
            client.send(head(key, f"content-length: {len(body)}") + body)
            assert client.socket.recv(10)
            with MemoryWatch(service.process.pid) as watch:
                while_stalled = ask(service, key)
                wait_for(lambda: ask(service, key).status_code == 200)

    assert while_stalled.status_code == 503
    assert watch.growth_bytes < 20_000_000


def test_answer_that_nobody_reads_does_not_stay(service: Running, key: str) -> None:
    """All of it is in buffers: the request is over, and the connection must end too."""
    with RawClient(service.url, receive_buffer_bytes=4096) as client:
        for _ in range(300):
            client.send(b"GET /v1/none HTTP/1.1\r\nhost: x\r\n\r\n" * 5)
        wait_for(lambda: client.is_closed())


def test_connection_too_many_is_refused_and_others_go_on(service: Running, key: str) -> None:
    with httpx2.Client(base_url=service.url, headers={"authorization": f"Bearer {key}"}) as before:
        before.get("/v1/models")
        crowd = [RawClient(service.url) for _ in range(60)]
        during = before.get("/v1/models")
        received = crowd[-1].until_closed()
        for one in crowd:
            one.socket.close()

    [(status, body)] = answers(received)
    assert_error_body(body, status, "overloaded")
    assert status == 503
    assert b"retry-after: 1\r\n" in received
    assert during.status_code == 200
    wait_for(lambda: ask(service, key).status_code == 200)


def test_uploads_that_stop_do_not_fill_the_memory(service: Running, key: str) -> None:
    with MemoryWatch(service.process.pid) as watch:
        crowd = []
        for _ in range(30):
            client = RawClient(service.url)
            client.send(head(key, "content-length: 1000000") + b" " * 990_000)
            crowd.append(client)
        time.sleep(1.2)  # from now on they are silent
        status = ask(service, key).status_code
        for one in crowd:
            one.socket.close()

    assert status == 200
    assert watch.growth_bytes < 12_000_000


def test_service_stops_with_stalled_clients(tmp_path: Path) -> None:
    with Running(tmp_path, toml=TOML) as service:
        key = service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")
        clients = [RawClient(service.url) for _ in range(3)]
        clients[1].send(head(key)[:-4])
        clients[2].send(head(key, "content-length: 1000") + b"x")
        time.sleep(0.2)
        service.process.terminate()

        assert service.end(20) == 0
        for client in clients:
            client.socket.close()

    assert "Traceback" not in service.said


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process")
def test_service_without_descriptors_recovers(tmp_path: Path) -> None:
    import resource

    with Running(tmp_path) as service:
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (80, 4000))
        crowd = [RawClient(service.url) for _ in range(150)]
        for one in crowd:
            one.socket.close()

        wait_for(lambda: httpx2.get(f"{service.url}/health/live").status_code == 200)

    assert "Traceback" not in service.said
