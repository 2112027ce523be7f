"""Several processes on one port, for real: one set of engines, one count, and any of them may be killed."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import psutil
import pytest

from sightline.admission.keys import Keys
from sightline.core import PERMISSIONS, KeyLimits, NewKey
from sightline.store.database import Database
from soak import books
from soak.clients import Load
from support.live import wait_for
from support.running import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SETTINGS = """
[prices."sightline/scripted"]
prompt = "0.000001"
completion = "0.000002"
[limits]
max_running = 2
engine_silence_s = 2.0
"""


class Workers:
    """A service of two workers, with keys in its database; `ready` and `port` are what soak's clients ask of it."""

    def __init__(self, service: Running, database: Database) -> None:
        self.service = service
        self.database = database
        self.port = int(service.url.rpartition(":")[2])
        self.ready = asyncio.Event()
        self.ready.set()
        keys = Keys(database)
        self.key = keys.create(NewKey("test", permissions=PERMISSIONS))[1]
        self.slow_key = keys.create(NewKey("slow", limits=KeyLimits(requests_per_min=6)))[1]

    def processes(self, program: str = "sightline.cli.worker") -> list[psutil.Process]:
        """The workers' processes, or the engine's."""
        children = psutil.Process(self.service.process.pid).children()
        return [child for child in children if child.is_running() and program in _command(child)]

    def ask(self, text: str = "one two three", *, key: str = "") -> httpx2.Response:
        """Ask on a connection of its own, so that any worker may get it."""
        body = {"model": "sightline/scripted", "messages": [{"role": "user", "content": text}]}
        head = {"authorization": f"Bearer {key or self.key}"}
        return httpx2.post(f"{self.service.url}/v1/chat/completions", json=body, headers=head, timeout=60)

    def requests(self) -> float:
        """Chat requests that were answered, by the metrics."""
        head = {"authorization": f"Bearer {self.key}"}
        text = httpx2.get(f"{self.service.url}/metrics", headers=head).text
        found = re.search(r'sightline_requests_total{route="/v1/chat/completions",status="200"} (\S+)', text)
        return float(found[1]) if found else 0.0


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def two_workers(folder: Path, toml: str = "") -> Iterator[Workers]:
    database = Database.in_folder(folder / "data")
    with Running(folder, step_s=0.01, toml=SETTINGS + toml, arguments=["--workers", "2"]) as service:
        yield Workers(service, database)
    database.close()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """One service for the tests that leave it running."""
    with two_workers(tmp_path_factory.mktemp("workers")) as workers:
        yield workers


@pytest.fixture
def own_workers(tmp_path: Path) -> Iterator[Workers]:
    """One for a test that ends it."""
    with two_workers(tmp_path) as workers:
        yield workers


def under_load(workers: Workers, meanwhile: Callable[[Load], None]) -> Load:
    """Run `meanwhile` with clients that note every byte they get."""

    async def run() -> Load:
        load = Load([workers], [workers.key], 7)
        asking = [asyncio.create_task(load.client(number)) for number in range(6)]
        try:
            await asyncio.to_thread(meanwhile, load)
        finally:
            load.stopping = True
            await asyncio.gather(*asking)
        return load

    return asyncio.run(run())


def test_workers_count_limits_and_metrics_together(workers: Workers) -> None:
    before = workers.requests()

    with ThreadPoolExecutor(8) as pool:
        answered = list(pool.map(lambda _: workers.ask().status_code, range(24)))
        limited = list(pool.map(lambda _: workers.ask(key=workers.slow_key).status_code, range(10)))

    assert len(workers.processes()) == 2
    assert answered == [200] * 24
    assert sorted(limited) == [200] * 6 + [429] * 4
    assert workers.requests() == before + 30


def test_metrics_do_not_fall_when_a_worker_dies(workers: Workers) -> None:
    for _ in range(10):
        workers.ask()
    before = workers.requests()
    time.sleep(1.2)  # workers tell what they have counted once a second
    victim = workers.processes()[0]

    victim.kill()
    wait_for(lambda: "worker_died" in workers.service.said)

    assert before >= 10
    assert workers.requests() == before


def test_killed_workers_cost_their_own_requests_alone_and_the_ledger_adds_up(workers: Workers) -> None:
    killed: list[int] = []

    def kill(load: Load) -> None:
        for _ in range(4):
            answered = load.outcomes["200"]
            wait_for(lambda more=answered + 10: load.outcomes["200"] >= more)
            victim = workers.processes()[len(killed) % 2]
            victim.kill()
            killed.append(victim.pid)
            wait_for(lambda: len({one.pid for one in workers.processes()} - set(killed)) == 2)

    load = under_load(workers, kill)
    wait_for(lambda: books.outcomes(workers.database)["reserved"] == 0)  # marked by the next worker

    print(f"4 workers killed: {dict(load.outcomes)}, {dict(books.outcomes(workers.database))}")
    assert len(set(killed)) == 4
    assert books.problems(workers.database, load.asked) == []
    broken = {"RemoteProtocolError", "ReadError", "WriteError"}  # connections of the dead
    assert set(load.outcomes) <= broken | {"200", "200 again", "409"}  # others take new ones, none is refused


def test_engine_that_dies_comes_back_for_every_worker(workers: Workers) -> None:
    [engine] = workers.processes("sightline.engines.child")

    engine.kill()
    wait_for(lambda: workers.processes("sightline.engines.child") not in ([], [engine]))
    wait_for(lambda: httpx2.get(f"{workers.service.url}/health/ready").status_code == 200)

    with ThreadPoolExecutor(8) as pool:
        wait_for(lambda: set(pool.map(lambda _: workers.ask().status_code, range(16))) == {200})


def test_engine_that_hangs_is_noticed_by_a_worker_and_started_again(workers: Workers) -> None:
    [engine] = workers.processes("sightline.engines.child")

    engine.suspend()
    hung = workers.ask()
    wait_for(lambda: workers.processes("sightline.engines.child") not in ([], [engine]))
    wait_for(lambda: httpx2.get(f"{workers.service.url}/health/ready").status_code == 200)

    assert (hung.status_code, hung.json()["error"]["code"]) == (504, "engine_timeout")
    wait_for(lambda: workers.ask().status_code == 200)


def test_stop_lets_requests_finish_in_every_worker(own_workers: Workers) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(own_workers.ask, "word " * 100) for _ in range(4)]
        wait_for(lambda: books.outcomes(own_workers.database)["reserved"] == 4 or any(one.done() for one in asked))

        own_workers.service.process.send_signal(signal.SIGTERM)

        assert [one.result().status_code for one in asked] == [200] * 4
    assert own_workers.service.end() == 0
    assert books.outcomes(own_workers.database) == {"completed": 4}


def test_workers_and_engines_go_with_their_parent(own_workers: Workers) -> None:
    processes = [*own_workers.processes(), *own_workers.processes("sightline.engines.child")]
    assert len(processes) == 3

    own_workers.service.kill()

    _, alive = psutil.wait_procs(processes, timeout=30)
    assert alive == []


def test_engine_that_cannot_start_ends_all_with_its_reason(tmp_path: Path) -> None:
    broken = '[[engines]]\nkind = "scripted"\noptions = {nonsense = 1}\n'

    service = Running(tmp_path, toml=broken, arguments=["--workers", "2"])

    assert service.end() == 1
    assert "does not take these options" in service.said


class Upstream(BaseHTTPRequestHandler):
    """Answers "yes", until its server `refuses`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send({"data": [{"id": "them/model", "owned_by": "vllm", "max_model_len": 4096}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"message": {"content": "yes"}, "finish_reason": "stop"}
        self._send({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})

    def _send(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(401 if getattr(self.server, "refuses", False) else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_worker_that_cannot_start_again_takes_nothing_from_the_others(tmp_path: Path) -> None:
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    toml = f'[[upstreams]]\nurls = ["http://127.0.0.1:{upstream.server_port}"]\n'
    try:
        with two_workers(tmp_path, toml=toml) as workers:
            victim = workers.processes()[0]
            upstream.refuses = True  # type: ignore[attr-defined]
            victim.kill()
            workers.service.wait_for("wants a key.*worker_cannot_start")

            assert [workers.ask().status_code for _ in range(8)] == [200] * 8
    finally:
        upstream.shutdown()
        upstream.server_close()


def test_port_that_another_service_shares_is_not_taken(workers: Workers, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()

    second = Running(other, arguments=["--workers", "2", "--port", str(workers.port)])

    assert second.end() == 1
    assert "Cannot listen" in second.said
