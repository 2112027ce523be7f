"""Engines call nobody: what OpenVINO would report of its use is never sent."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LISTEN = """
import importlib, sys

heard = []
watched = {"os.fork", "os.forkpty", "os.posix_spawn", "urllib.Request", "socket.connect", "socket.getaddrinfo"}
sys.addaudithook(lambda event, _: heard.append(event) if event in watched else None)
importlib.import_module(sys.argv[1])
assert "openvino" in sys.modules
print(*heard)
"""


@pytest.mark.parametrize("engine", ["sightline.engines.genai.engine", "sightline.engines.pagetext.engine"])
def test_loading_an_engine_starts_no_process_and_no_connection(engine: str) -> None:
    done = subprocess.run([sys.executable, "-c", _LISTEN, engine], capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
