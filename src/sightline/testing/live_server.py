"""A service of one's own for a while: in tests, notebooks, measurements and the demonstration.

Starts `sightline serve` in a process on a free port of this machine, waits until it is ready, stops it at the end.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from sightline.auth.keys import Keys
from sightline.core import PERMISSIONS, NewKey
from sightline.errors import EngineUnavailable
from sightline.settings import UPSTREAM_KEY
from sightline.store.database import Database

_READY = re.compile(r"Ready on (http://\S+)/v1")


class LiveServer:
    """`with LiveServer() as service:` gives `service.base_url` and `service.api_key` for any OpenAI client.

    `arguments` go to `sightline serve`, settings of the environment (`SIGHTLINE_…`) do not, but for an upstream's key.
    Everything it writes lives in a temporary folder and goes with it.
    """

    def __init__(self, *arguments: str, ready_s: float = 120.0) -> None:
        self._arguments = arguments
        self._ready_s = ready_s
        self._folder = tempfile.TemporaryDirectory(prefix="sightline-")
        self.data = Path(self._folder.name)
        self.url = ""
        self.api_key = ""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as `base_url`."""
        return f"{self.url}/v1"

    @property
    def log(self) -> str:
        """What the service has written to standard error so far."""
        return (self.data / "log").read_text()

    def __enter__(self) -> LiveServer:
        database = Database.in_folder(self.data)
        _, self.api_key = Keys(database).create(NewKey("local", permissions=PERMISSIONS))
        database.close()
        command = [sys.executable, "-m", "sightline", "serve", "--port", "0", "--data", str(self.data)]
        # Settings are its own, whatever the environment says.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
        if UPSTREAM_KEY in os.environ:
            environ[UPSTREAM_KEY] = os.environ[UPSTREAM_KEY]
        with (self.data / "log").open("wb") as log:
            self.process = subprocess.Popen([*command, *self._arguments], stderr=log, env=environ)
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _wait(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + self._ready_s
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := _READY.search(self.log):
                self.url = found[1]
                return
            time.sleep(0.05)
        raise EngineUnavailable(f"The service did not become ready. It wrote:\n{self.log}")

    def stop(self, timeout_s: float = 60.0) -> int:
        """Ask the service to stop and let its running requests finish; gives its exit status."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self._folder.cleanup()
