"""Many clients in a process of their own: `python -m bench.flood URL`, with a plan as JSON on standard input.

A plan with `rates` sends at these rates, by key, at random moments, whatever becomes of earlier requests; one with
`clients` has so many send one after another. Prints what each key met as JSON. A request's time begins when it is due,
so that a client that is late counts too.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

import msgspec
import uvloop

_LAST_S = 15.0


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
            _, silent = await asyncio.wait(asking, timeout=_LAST_S)
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
                await self._loop.create_connection(lambda: client, self._where.hostname, self._where.port)
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
