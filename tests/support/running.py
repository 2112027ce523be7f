"""The real service on a real port, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType


class Running:
    """`sightline serve` with the scripted engine; `with` ends it by its own process id."""

    def __init__(
        self, folder: Path, *, step_s: float = 0.0, toml: str = "", arguments: Sequence[str] = (), failpoints: str = ""
    ) -> None:
        config = folder / "sightline.toml"
        engine = f'[[engines]]\nkind = "scripted"\noptions = {{step_s = {step_s}}}\n'
        config.write_text(f"{toml}\n{engine}", encoding="utf-8")
        command = [sys.executable, "-m", "sightline", "serve", "--port", "0", "--data", str(folder / "data")]
        self.process = subprocess.Popen(
            [*command, "--config", str(config), *arguments],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "FAILPOINTS": failpoints},
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Running:
        try:
            self.url = self.wait_for(r"Ready on (http://\S+)/v1")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()

    def kill(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.end()

    def end(self, timeout_s: float = 90.0) -> int:
        """Wait for its end; returns the exit status."""
        status = self.process.wait(timeout_s)
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

    def wait_for(self, pattern: str, timeout_s: float = 90.0) -> str:
        """Wait for a line of its standard error; returns the first group, or the whole match."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._search(pattern) or self.process.poll() is not None, timeout_s)
        match = self._search(pattern)
        assert match, f"{pattern!r} was not said (waited: {found}); it said:\n{self.said}"
        return match[1] if match.groups() else match[0]

    @property
    def said(self) -> str:
        """Its standard error so far."""
        return "".join(self.lines)

    def _search(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.said)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        self.process.wait()  # so that who waits for a line sees that none comes any more
        with self._changed:
            self._changed.notify_all()
