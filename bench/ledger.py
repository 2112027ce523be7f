"""Requests a second with a ledger and limits beside none of them, on this disk.

The scripted engine answers at once, so that the front and the ledger are all there is; as many connections as wait for
one another are open all the while. Both services run throughout and take short turns, and the ratio of each turn is
taken: the machine is quicker in one second than in the next.
Promised: at least 60 % of the requests, 50 % with a spending limit.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import track
from rich.table import Table

from sightline.auth.keys import Keys
from sightline.core import KeyLimits, NewKey, SpendingLimit
from sightline.store.database import Database
from sightline.testing.live_server import LiveServer

CONNECTIONS = 64
ROUNDS = 25
TURN_S = 0.6
PROMISED, PROMISED_SPENDING = 0.60, 0.50
ENGINE = """
[[engines]]
kind = "scripted"
options = {answer = "yes"}

[prices."sightline/scripted"]
prompt = "0.000001"
completion = "0.000002"
"""
FREE = "[ledger]\nenabled = false\n"
BODY = b'{"model": "sightline/scripted", "messages": [{"role": "user", "content": "What is in this image?"}]}'
PLENTY = KeyLimits(requests_per_min=10**7, tokens_per_min=10**9, max_in_flight=1000)
LIMITED = NewKey("limited", limits=PLENTY)
SPENDING = NewKey("spending", limits=PLENTY, spending=SpendingLimit(10**15, "month"))


def run(console: Console) -> bool:
    """Measure in turn, print the ratios; False when one is under what is promised."""
    with tempfile.TemporaryDirectory() as folder:
        config, free = Path(folder) / "ledger.toml", Path(folder) / "free.toml"
        config.write_text(ENGINE)
        free.write_text(FREE + ENGINE)
        with LiveServer("--config", str(config)) as written, LiveServer("--config", str(free)) as unwritten:
            database = Database.in_folder(written.data)
            limited, spending = (Keys(database).create(key)[1] for key in (LIMITED, SPENDING))
            database.close()
            return asyncio.run(_compare(console, unwritten, written, limited, spending))


async def _compare(console: Console, unwritten: LiveServer, written: LiveServer, limited: str, spending: str) -> bool:
    sides = {
        "without": await connections(unwritten.url, unwritten.api_key),
        "ledger": await connections(written.url, written.api_key),
        "ledger, limits": await connections(written.url, limited),
        "ledger, limits, spending limit": await connections(written.url, spending),
    }
    for side in sides.values():
        await rate(side, 0.5)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in track(range(ROUNDS), "turns", console=console, transient=True):
        for name, side in sides.items():
            rates[name].append(await rate(side, TURN_S))
    table = Table(title=f"Requests a second, {CONNECTIONS} connections ", box=None)
    for column in ("", "requests/s", "ratio", "promised", "lowest", "highest"):
        table.add_column(column, justify="right")
    reached = True
    for name, each in rates.items():
        ratios = [here / bare for here, bare in zip(each, rates["without"], strict=True)]
        ratio = statistics.median(ratios)
        promised = PROMISED_SPENDING if "spending" in name else PROMISED
        figures = (ratio, promised, min(ratios), max(ratios))
        table.add_row(name, f"{statistics.median(each):,.0f}", *(f"{figure:.2f}" for figure in figures))
        reached &= ratio >= promised
    console.print(table)
    return reached


async def connections(url: str, secret: str) -> list[Connection]:
    """Open as many connections as are to be busy."""
    return [await Connection.open(urlsplit(url).port or 80, secret) for _ in range(CONNECTIONS)]


async def rate(side: list[Connection], seconds: float) -> float:
    """Requests a second over all connections of one side, each sending its next when the last was answered."""
    began = time.perf_counter()
    done = sum(await asyncio.gather(*(one.repeat(began + seconds) for one in side)))
    return done / (time.perf_counter() - began)


class Connection:
    """One kept open. It reads no more of an answer than it must: the sender shares the cores with the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: str) -> None:
        self._reader = reader
        self._writer = writer
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {secret}\r\ncontent-length: {len(BODY)}\r\n\r\n"
        )
        self._message = head.encode() + BODY

    @classmethod
    async def open(cls, port: int, secret: str) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port), secret)

    async def repeat(self, until: float) -> int:
        """Send one request after another until the time has come; how many were answered."""
        done = 0
        while time.perf_counter() < until:
            status, _ = await self.ask()
            if status != 200:
                raise RuntimeError(f"the service refused: {status}")
            done += 1
        return done

    async def ask(self) -> tuple[int, bytes]:
        """Send one request; its status and head."""
        self._writer.write(self._message)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self._reader.readexactly(length)
        return int(head[9:12]), head

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
