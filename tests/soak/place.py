"""Where a soak runs: a folder, a database that several processes share, keys, the settings of them all."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sightline.auth.keys import Keys
from sightline.core import NewKey, SpendingLimit
from sightline.store.database import Database
from support.databases import fresh_database, postgres

READY_S = 300.0
SETTINGS = """
[[engines]]
kind = "scripted"
options = {step_s = 0.004}

[prices."sightline/scripted"]
prompt = "0.000001"
completion = "0.000002"
"""


class Place:
    """A database with two keys, one of them with a spending limit, so that both ways into the ledger are gone."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.database = Database.open(folder / "data", url)
        keys = Keys(self.database)
        limit = SpendingLimit(10**15, "total")
        self.keys = [keys.create(NewKey("free"))[1], keys.create(NewKey("limited", spending=limit))[1]]
        (folder / "soak.toml").write_text(SETTINGS, encoding="utf-8")
        self.starts = 0

    def process(self, port: int, *, reuse_port: bool = False) -> Process:
        """A service on `port`, not yet started."""
        command = [sys.executable, "-m", "sightline", "serve", "--port", str(port), "--data", str(self.folder / "data")]
        command += ["--config", str(self.folder / "soak.toml"), *(["--reuse-port"] if reuse_port else [])]
        self.starts += 1
        return Process(command, port, self.folder / f"log-{self.starts}", {"SIGHTLINE_DATABASE": self.url})


@contextmanager
def place(kind: str, folder: Path, server: str = "") -> Iterator[Place]:
    """Make one over SQLite or Postgres; over a new database of the Postgres at `server`, or of one of its own."""
    with ExitStack() as stack:
        url = ""
        if kind == "postgres":
            server = server or stack.enter_context(postgres())
            url = stack.enter_context(fresh_database(server))
        made = Place(folder, url)
        stack.callback(made.database.close)
        yield made


class Process:
    """One `sightline serve`. What it says goes to a file."""

    def __init__(self, command: list[str], port: int, log: Path, environ: dict[str, str]) -> None:
        self.port = port
        self.log = log
        self.ready = asyncio.Event()
        self.start_s = 0.0  # how long it took to become ready
        self._command = command
        self._environ = {**os.environ, **environ, "NO_COLOR": "1", "COLUMNS": "200"}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; `ready` is set later."""
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stderr=log, stdin=asyncio.subprocess.DEVNULL, env=self._environ
            )

    async def until_ready(self) -> None:
        """Return when it has said that it is.

        Raises:
            RuntimeError: it ended, or took too long.
        """
        assert self._process is not None
        clock = asyncio.get_running_loop().time
        began_s = clock()
        deadline = began_s + READY_S
        while "Ready" not in self.log.read_text(errors="replace"):
            if self._process.returncode is not None or clock() > deadline:
                raise RuntimeError(f"a process did not become ready; it said:\n{self.log.read_text()[-2000:]}")
            await asyncio.sleep(0.05)
        self.start_s = clock() - began_s
        self.ready.set()

    def kill(self) -> None:
        """End it as the kernel would, at this instant."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to stop."""
        self._signal(signal.SIGTERM)

    async def end(self) -> int:
        """Wait for its end; the exit status."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), READY_S)

    def _signal(self, number: signal.Signals) -> None:
        self.ready.clear()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
