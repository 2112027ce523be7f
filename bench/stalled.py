"""10,000 stalled clients of seven kinds at once: what they cost, when they are closed, what others notice of them.

The service runs with the scripted engine and its default limits. Cheap requests are timed by their sender from the
crowd's first connection to its last closing, each sent to a second service, too, that has no crowd: the crowd's own
processor time, and whatever else runs on the machine, holds up both. Promised: the memory of all the service's
processes grows by at most 200 MB; each client is closed by its deadline; p50 and p99 of the cheap requests are at most
1.5 times those of the service without the crowd.
"""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.table import Table

from sightline.settings import ServerSettings
from sightline.testing.live_server import LiveServer

ENGINE = '[[engines]]\nkind = "scripted"\n'
WARM_UP_S = 3.0
PAUSE_S = 0.005
PROMISED_RATIO = 1.5
PROMISED_GROWTH_BYTES = 200_000_000
LOOK_S = 45.0  # write_timeout_s, and the time that it takes to fill the buffers
FILES = 20  # that the database's connections may have opened meanwhile
SLACK_S = 3.0  # two sweeps, and the seconds in which a refused client may still read why


def run(console: Console, share: float = 1.0) -> bool:
    """Measure, print the tables; False when something promised does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bench.toml"
        config.write_text(ENGINE)
        with (
            LiveServer("--config", str(config)) as service,
            LiveServer("--config", str(config)) as calm,
        ):
            return _measure(console, service, calm, share)


def _measure(console: Console, service: LiveServer, calm: LiveServer, share: float) -> bool:
    assert service.process is not None
    limits = ServerSettings()
    senders = Cheap(service), Cheap(calm)
    _time(senders, _for(WARM_UP_S))
    base, connections = _resident(service), _descriptors(service)
    with Highest(service) as memory:
        command = [sys.executable, "-m", "bench.crowd", service.url, service.api_key, str(share), str(LOOK_S)]
        crowd = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert crowd.stdout is not None
        beside, without = _time(senders, lambda: crowd.poll() is not None)
        connected_s, report = float(crowd.stdout.readline()), json.loads(crowd.stdout.readline())
    most = memory.descriptors - connections
    left = _descriptors(service) - connections
    console.print(f"connected within {connected_s:.1f} s, {most:,} at once, {max(0, left)} open in the end")
    growth = memory.bytes - base
    console.print(
        f"memory of all processes: {base / 1e6:.0f} MB before, {memory.bytes / 1e6:.0f} MB at most, "
        f"{growth / 1e6:.0f} MB more ({growth / max(1, most) / 1e3:.1f} KB a client); promised at most 200 MB more"
    )
    reached = [_print_crowd(console, report, limits), _print_cheap(console, without, beside)]
    traces = service.log.count("Traceback")
    if traces:
        console.print(f"{traces} traces in the log")
    return all(reached) and growth <= PROMISED_GROWTH_BYTES and left <= FILES and not traces


def _print_crowd(console: Console, report: list[dict[str, Any]], limits: ServerSettings) -> bool:
    table = Table(title="Stalled clients", box=None)
    for column in ("kind", "clients", "closed", "last after s", "promised s", "answered"):
        table.add_column(column, justify="right")
    reached = True
    for row in report:
        # A reader that does not read cannot see when it was closed, only that it was.
        due = {"head": limits.header_timeout_s, "silent": limits.header_timeout_s, "reader": inf}
        due_s = next((due[word] for word in due if word in row["kind"]), limits.body_timeout_s) + SLACK_S
        statuses = ", ".join(f"{status} {count}" for status, count in sorted(row["statuses"].items()))
        cells = (f"{row['number']:,}", f"{row['closed']:,}", f"{row['last_s']:.1f}", f"{due_s:g}", statuses)
        table.add_row(row["kind"], *cells)
        reached &= row["closed"] == row["number"] and row["last_s"] <= due_s
    console.print(table)
    return reached


def _print_cheap(console: Console, without: dict[str, list[float]], beside: dict[str, list[float]]) -> bool:
    table = Table(title="Cheap requests, ms", box=None)
    for column in ("request", "", "without", "beside", "ratio", "promised at most"):
        table.add_column(column, justify="right")
    reached = True
    for name in without:
        for label, percentile in (("p50", 49), ("p99", 98)):
            before, during = (statistics.quantiles(times[name], n=100)[percentile] for times in (without, beside))
            ratio = during / before
            table.add_row(name, label, f"{before:.2f}", f"{during:.2f}", f"{ratio:.2f}", f"{PROMISED_RATIO:g}")
            reached &= ratio <= PROMISED_RATIO
    console.print(table)
    return reached


Times = dict[str, list[float]]


def _time(senders: Sequence[Cheap], is_over: Callable[[], bool]) -> list[Times]:
    """Milliseconds of each sender's requests, by kind; the senders take turns at going first."""
    for sender in senders:
        sender.connect()
    times: list[Times] = [{name: [] for name in Cheap.KINDS} for _ in senders]
    order = [*zip(senders, times, strict=True)]
    while not is_over():
        order.reverse()
        for name in Cheap.KINDS:
            for sender, of_sender in order:
                of_sender[name].append(sender.ask_ms(name))
                time.sleep(PAUSE_S)
    for sender in senders:
        sender.close()
    return times


class Cheap:
    """Sends a list of models or a chat of one token on one connection, and times it."""

    KINDS = ("models", "chat")

    def __init__(self, service: LiveServer) -> None:
        self._where = urlsplit(service.url)
        rest = f"host: x\r\nauthorization: Bearer {service.api_key}\r\n"
        chat = {"model": "sightline/scripted", "max_tokens": 1, "messages": [{"role": "user", "content": "hello you"}]}
        body = json.dumps(chat)
        self._requests = {
            "models": f"GET /v1/models HTTP/1.1\r\n{rest}\r\n".encode(),
            "chat": f"POST /v1/chat/completions HTTP/1.1\r\n{rest}content-length: {len(body)}\r\n\r\n{body}".encode(),
        }

    def connect(self) -> None:
        """Open the connection."""
        self._socket = socket.create_connection((self._where.hostname, self._where.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def ask_ms(self, name: str) -> float:
        """Send one request, read its answer; the milliseconds of both."""
        began = time.perf_counter()
        self._socket.sendall(self._requests[name])
        self._read()
        return (time.perf_counter() - began) * 1000

    def _read(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self._socket.recv(65536)
            if not piece:
                raise RuntimeError("the service closed the connection of the cheap requests")
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"the service refused: {data[:400]!r}")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(rest) < length:
            rest += self._socket.recv(65536)


class Highest:
    """`with Highest(service) as memory:` then `memory.bytes`: the most its processes took together.

    `descriptors` is the most that the API's process had open.
    """

    def __init__(self, service: LiveServer) -> None:
        self.bytes = self.descriptors = 0
        self._service = service
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Highest:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            self.bytes = max(self.bytes, _resident(self._service))
            self.descriptors = max(self.descriptors, _descriptors(self._service))


def _for(duration_s: float) -> Callable[[], bool]:
    until = time.monotonic() + duration_s
    return lambda: time.monotonic() >= until


def _resident(service: LiveServer) -> int:
    assert service.process is not None
    process = psutil.Process(service.process.pid)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def _descriptors(service: LiveServer) -> int:
    assert service.process is not None
    return int(psutil.Process(service.process.pid).num_fds())
