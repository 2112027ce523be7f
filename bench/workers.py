"""Requests a second, and processor time a request, with one process and with two workers; side by side.

The scripted engine answers at once, so that only what workers share out is measured: key, parse, limits, place, meter,
ledger, answer. On two cores the clients and the engine's process take their part of both, so that twice as many
requests cannot come; what the desk costs shows in the processor time, of the workers and of their parent.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sightline.admission.keys import Keys
from sightline.core import KeyLimits, NewKey
from sightline.local import LocalService
from sightline.store.database import Database

ROUNDS = 5
CONNECTIONS = 16
ROUND_S = 3.0
ENGINE = '[[engines]]\nkind = "scripted"\noptions = {answer = "yes"}\n[limits]\nmax_running = 64\n'
CLIENTS = """
import asyncio, sys, time
port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
request = sys.stdin.buffer.read()
async def client(end):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.monotonic() < end:
        writer.write(request)
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        lengths = [line for line in head.lower().split(b"\\r\\n") if line.startswith(b"content-length")]
        await reader.readexactly(int(lengths[0].split(b":")[1]))
        count += 1
    return count
async def main():
    began = time.monotonic()
    count = sum(await asyncio.gather(*(client(began + seconds) for _ in range(connections))))
    print(count, time.monotonic() - began)
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one round gave: requests a second, and microseconds of processor time a request."""

    per_s: float
    api_us: float
    parent_us: float


def run(console: Console) -> None:
    """Measure keys with and without limits, with and without a ledger, and print the table."""
    table = Table(title="One process and two workers, taking turns", box=None)
    for column in ("case", "1: requests/s", "2: requests/s", "ratio", "1: CPU µs", "2: workers µs", "2: parent µs"):
        table.add_column(column, justify="right")
    for name, ledger, limits in (
        ("no ledger, no limits", False, KeyLimits()),
        ("no ledger, limits", False, KeyLimits(requests_per_min=10**8, tokens_per_min=10**12)),
        ("ledger, no limits", True, KeyLimits()),
    ):
        ones, twos = _compare(console, name, ledger, limits)
        ratio = statistics.median(two.per_s / one.per_s for one, two in zip(ones, twos, strict=True))
        one, two = _median(ones), _median(twos)
        figures = (one.per_s, two.per_s, one.api_us, two.api_us, two.parent_us)
        shown = [f"{figure:,.0f}" for figure in figures]
        table.add_row(name, *shown[:2], f"{ratio:.2f}", *shown[2:])
    console.print(table)


def _compare(console: Console, name: str, ledger: bool, limits: KeyLimits) -> tuple[list[Rate], list[Rate]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = folder / "bench.toml"
        config.write_text(f"{ENGINE}[ledger]\nenabled = {str(ledger).lower()}\n")
        targets = []
        for workers in ("1", "2"):
            service = stack.enter_context(LocalService("--config", str(config), "--workers", workers))
            targets.append((service, _request(service, limits)))
        rates: tuple[list[Rate], list[Rate]] = ([], [])
        for number in track(range(ROUNDS + 1), name, console=console, transient=True):
            for (service, request), into in zip(targets, rates, strict=True):
                rate = _round(service, request)
                if number:  # the first one warms up
                    into.append(rate)
        return rates


def _request(service: LocalService, limits: KeyLimits) -> bytes:
    database = Database.in_folder(service.data)
    key = Keys(database).create(NewKey("bench", limits=limits))[1]
    database.close()
    message = {"role": "user", "content": "Is there a red circle in this image? " * 4}
    body = json.dumps({"model": "sightline/scripted", "messages": [message], "max_tokens": 4}).encode()
    head = f"authorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n".encode() + body


def _round(service: LocalService, request: bytes) -> Rate:
    assert service.process is not None
    parent = psutil.Process(service.process.pid)
    workers = [child for child in parent.children() if "sightline.cli.worker" in child.cmdline()]
    before_parent, before_workers = _cpu_s([parent]), _cpu_s(workers)
    port = str(urlsplit(service.url).port)
    command = [sys.executable, "-c", CLIENTS, port, str(CONNECTIONS), str(ROUND_S)]
    told = subprocess.run(command, input=request, capture_output=True, check=True).stdout.split()
    count, took_s = int(told[0]), float(told[1])
    parent_us = (_cpu_s([parent]) - before_parent) / count * 1e6
    if not workers:
        return Rate(count / took_s, parent_us, 0.0)
    return Rate(count / took_s, (_cpu_s(workers) - before_workers) / count * 1e6, parent_us)


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _median(rates: Sequence[Rate]) -> Rate:
    per_s, api_us, parent_us = (
        statistics.median(column) for column in zip(*((r.per_s, r.api_us, r.parent_us) for r in rates), strict=True)
    )
    return Rate(per_s, api_us, parent_us)
