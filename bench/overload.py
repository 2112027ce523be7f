"""Ten times as many requests as the service can answer, by several keys, one of which sends most of them.

The service runs with the scripted engine, whose service time is known, and its ledger. Capacity is measured first, with
as many clients as keep it busy and none refused; then requests come at ten times that rate at random moments, whatever
becomes of earlier ones: a connection for each, kept connections, and kept connections with a picture in each. Promised:
p99 of the refusals under 50 ms, each with `retry-after`; at least 90 % of capacity; for each key at least 90 % of its
fair share, which is what it sends unless the keys together send too much.

The clients run in a process of their own, `python -m bench.overload URL`, with a `Plan` as JSON on standard input.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from sightline.auth.keys import Keys
from sightline.core import NewKey
from sightline.store.database import Database
from sightline.testing.live_server import LiveServer

ANSWER_S = 15.0
CAPACITY_S, OVERLOAD_S = 6.0, 12.0
TIMES = 10.0
MAX_RUNNING, WAITING, STEP_S = 8, 32, 0.2
PROMISED_REFUSAL_MS = 50.0
PROMISED_SHARE = 0.9
LIGHT = {"half a share": 0.5, "another half": 0.5, "two shares": 2.0, "another two": 2.0}
"""What the keys send that are not greedy, in parts of an equal share of the capacity."""
SETTINGS = f"""
[[engines]]
kind = "scripted"
options = {{step_s = {STEP_S}, answer = "yes"}}
[limits]
max_running = {MAX_RUNNING}
max_queued = {WAITING}
"""
PICTURE = Path(__file__).parents[1] / "examples" / "images" / "photo.png"


def run(console: Console) -> bool:
    """Measure each way of connecting, print the tables; False when something promised does not hold."""
    ways = (
        ("a connection for each request", _body(), False),
        ("kept connections", _body(), True),
        ("kept connections, a picture in each request", _body(PICTURE), True),
    )
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bench.toml"
        config.write_text(SETTINGS)
        with LiveServer("--config", str(config)) as service:
            secrets = _keys(service)
            reached = [_measure(console, service, secrets, *way) for way in ways]
    return all(reached)


def _keys(service: LiveServer) -> dict[str, str]:
    database = Database.in_folder(service.data)
    keys = Keys(database)
    secrets = {name: keys.create(NewKey(name))[1] for name in ("greedy", *LIGHT)}
    database.close()
    return secrets


def _measure(
    console: Console, service: LiveServer, secrets: Mapping[str, str], name: str, body: str, keep_alive: bool
) -> bool:
    busy = Plan(body, CAPACITY_S, keep_alive, {service.api_key: 1.0}, clients=MAX_RUNNING * 2)
    alone = _flood(service, busy)[service.api_key]
    capacity = alone.done / CAPACITY_S
    rates = {key: share * capacity / len(secrets) for key, share in LIGHT.items()}
    rates["greedy"] = TIMES * capacity - sum(rates.values())
    met = _flood(service, Plan(body, OVERLOAD_S, keep_alive, {secrets[key]: rate for key, rate in rates.items()}))
    by_name = {key: met[secret] for key, secret in secrets.items()}
    console.print(f"\n[bold]{name}[/bold] ({len(body) / 1000:,.1f} KB), capacity {capacity:.1f} a second")
    return all([_show_shares(console, by_name, capacity), _show_whole(console, by_name, capacity)])


def _show_shares(console: Console, met: Mapping[str, Met], capacity: float) -> bool:
    table = Table(box=None)
    for column in ("key", "sent a second", "answered", "fair share", "part of it"):
        table.add_column(column, justify="right")
    fair = _fair({key: one.sent / OVERLOAD_S for key, one in met.items()}, capacity)
    parts = {key: one.done / OVERLOAD_S / fair[key] for key, one in met.items()}
    for key, one in met.items():
        figures = (one.sent / OVERLOAD_S, one.done / OVERLOAD_S, fair[key])
        table.add_row(key, *(f"{figure:.1f}" for figure in figures), f"{parts[key]:.2f}")
    console.print(table)
    return min(parts.values()) >= PROMISED_SHARE


def _show_whole(console: Console, met: Mapping[str, Met], capacity: float) -> bool:
    done = sum(one.done for one in met.values()) / OVERLOAD_S
    refused = [ms for one in met.values() for ms in one.refused_ms]
    answered = [ms for one in met.values() for ms in one.done_ms]
    statuses = {status for one in met.values() for status in one.statuses}
    counts = {status: sum(one.statuses.get(status, 0) for one in met.values()) for status in sorted(statuses)}
    silent = sum(one.without_retry_after for one in met.values())
    client_ms = statistics.quantiles([ms for one in met.values() for ms in one.late_ms], n=100)[98]
    p50, p99 = (statistics.quantiles(refused, n=100)[at] for at in (49, 98))
    late = statistics.quantiles(answered, n=100)[98]
    console.print(
        f"answered {done:.1f} a second, {done / capacity:.2f} of capacity (promised {PROMISED_SHARE:g}); "
        f"p99 of their time {late:,.0f} ms\n"
        f"refusals: p50 {p50:.1f} ms, p99 {p99:.1f} ms (promised {PROMISED_REFUSAL_MS:g}), most {max(refused):.1f} ms; "
        f"{silent} without retry-after; statuses {counts}; the clients themselves were late by p99 {client_ms:.1f} ms"
    )
    expected = set(counts) <= {"200", "429", "503"}
    return expected and not silent and p99 < PROMISED_REFUSAL_MS and done >= PROMISED_SHARE * capacity


def _fair(wanted: Mapping[str, float], capacity: float) -> dict[str, float]:
    """Max-min fairness: who wants less than an equal part has all of it, the others share what is left equally."""
    fair: dict[str, float] = {}
    left = capacity
    for number, (key, rate) in enumerate(sorted(wanted.items(), key=lambda item: item[1])):
        fair[key] = min(rate, left / (len(wanted) - number))
        left -= fair[key]
    return fair


def _flood(service: LiveServer, plan: Plan) -> dict[str, Met]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.overload", service.url], input=msgspec.json.encode(plan), capture_output=True
    )
    if done.returncode:
        raise RuntimeError(f"the clients failed:\n{done.stderr.decode()}")
    return msgspec.json.decode(done.stdout, type=dict[str, Met])


def _body(picture: Path | None = None) -> str:
    parts: list[dict[str, object]] = [{"type": "text", "text": "What is in this image?"}]
    if picture is not None:
        url = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return json.dumps({"model": "sightline/scripted", "messages": [{"role": "user", "content": parts}]})


class Plan(msgspec.Struct):
    """What to send, for how long; `rates` are requests a second by key."""

    body: str
    length_s: float
    keep_alive: bool
    rates: dict[str, float] = {}
    clients: int = 0


@dataclass
class Met:
    """What the requests of one key met; `done` only those that were answered within the plan's time.

    `late_ms` is how long after they were due they were begun: other work on the machine holds up the clients too.
    """

    sent: int = 0
    done: int = 0
    done_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    without_retry_after: int = 0


class Client(asyncio.Protocol):
    """One connection: sends a request, reads its answer, says so."""

    def __init__(self, on_answer: Callable[[Client, str, bool], None]) -> None:
        self.on_answer = on_answer
        self.transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._is_asking = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def ask(self, request: bytes) -> None:
        assert self.transport is not None
        self._is_asking = True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        lines = bytes(head).lower().split(b"\r\n")
        if not found or len(body) < next(int(one[15:]) for one in lines if one.startswith(b"content-length:")):
            return
        self._received.clear()
        self._is_asking = False
        self.on_answer(self, lines[0][9:12].decode(), any(one.startswith(b"retry-after:") for one in lines))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._is_asking:
            self._is_asking = False
            self.on_answer(self, "closed", False)


class Flood:
    """Carries out one plan."""

    def __init__(self, url: str, plan: Plan) -> None:
        self.met = {secret: Met() for secret in plan.rates}
        self._where = urlsplit(url)
        self._plan = plan
        self._idle: list[Client] = []
        self._loop = asyncio.get_running_loop()
        self._ends_s = self._loop.time() + plan.length_s
        ending = "" if plan.keep_alive else "connection: close\r\n"
        self._requests = {
            secret: f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n{ending}"
            f"content-type: application/json\r\ncontent-length: {len(plan.body)}\r\n\r\n{plan.body}".encode()
            for secret in plan.rates
        }

    async def run(self) -> None:
        """Send everything, wait for the answers."""
        if self._plan.clients:
            await asyncio.gather(*(self._one_after_another() for _ in range(self._plan.clients)))
            return
        dice, due = random.Random(1), []
        began_s = self._loop.time()
        for secret, per_s in self._plan.rates.items():
            at_s = began_s
            while (at_s := at_s + dice.expovariate(per_s)) < self._ends_s:
                due.append((at_s, secret))
        asking = set()
        for at_s, secret in sorted(due):
            if (wait_s := at_s - self._loop.time()) > 0:
                await asyncio.sleep(wait_s)
            asking.add(task := self._loop.create_task(self._ask(secret, at_s)))
            task.add_done_callback(asking.discard)
        if asking:
            _, silent = await asyncio.wait(asking, timeout=ANSWER_S)
            for task in silent:
                task.cancel()
            await asyncio.gather(*silent, return_exceptions=True)
        for client in self._idle:
            if client.transport is not None:
                client.transport.close()
        for met in self.met.values():
            if unanswered := met.sent - sum(met.statuses.values()):
                met.statuses["no answer"] = unanswered

    async def _one_after_another(self) -> None:
        secret = next(iter(self._plan.rates))
        while self._loop.time() < self._ends_s:
            await self._ask(secret, self._loop.time())

    async def _ask(self, secret: str, due_s: float) -> None:
        met, answered = self.met[secret], self._loop.create_future()
        met.sent += 1
        met.late_ms.append((self._loop.time() - due_s) * 1000)

        def note(client: Client, status: str, has_retry_after: bool) -> None:
            took_ms = (self._loop.time() - due_s) * 1000
            met.statuses[status] = met.statuses.get(status, 0) + 1
            if status == "200":
                met.done += self._loop.time() <= self._ends_s
                met.done_ms.append(took_ms)
            else:
                met.refused_ms.append(took_ms)
                met.without_retry_after += not has_retry_after
            if client.transport is not None and self._plan.keep_alive:
                self._idle.append(client)
            answered.set_result(None)

        client = self._waiting_client()
        if client is None:
            client = Client(note)
            try:
                await self._loop.create_connection(lambda: client, str(self._where.hostname), self._where.port or 80)
            except OSError:
                met.statuses["no connection"] = met.statuses.get("no connection", 0) + 1
                return
        client.on_answer = note
        client.ask(self._requests[secret])
        try:
            await answered
        finally:
            if client.transport is not None and (not self._plan.keep_alive or answered.cancelled()):
                client.on_answer = _forget
                client.transport.abort()

    def _waiting_client(self) -> Client | None:
        while self._idle:
            client = self._idle.pop()
            if client.transport is not None and not client.transport.is_closing():
                return client
        return None


def _forget(client: Client, status: str, has_retry_after: bool) -> None:
    """Take what comes of a request that is no longer waited for."""


async def main() -> None:
    """Read the plan, carry it out, print what came of it."""
    flood = Flood(sys.argv[1], msgspec.json.decode(sys.stdin.buffer.read(), type=Plan))
    await flood.run()
    print(json.dumps({secret: asdict(met) for secret, met in flood.met.items()}))


if __name__ == "__main__":
    uvloop.run(main())
