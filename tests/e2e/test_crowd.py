"""A thousand stalled clients at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from support.bodies import chat
from support.live import wait_for
from support.running import Running
from support.watching import MemoryWatch

pytestmark = pytest.mark.e2e

CLIENTS = 1000
TOML = (
    "[server]\nheader_timeout_s = 2.0\nbody_timeout_s = 4.0\nwrite_timeout_s = 4.0\nmax_buffered_bytes = 30_000_000\n"
)
TESTS = Path(__file__).parents[1]


@pytest.mark.timeout(300)
def test_thousand_stalled_clients_are_closed_and_others_are_served(tmp_path: Path) -> None:
    with Running(tmp_path, toml=TOML) as service:
        key = service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")
        process = psutil.Process(service.process.pid)
        command = [sys.executable, "-m", "support.crowd", service.url, key, str(CLIENTS)]
        with httpx2.Client(base_url=service.url, headers={"authorization": f"Bearer {key}"}, timeout=60) as http:
            statuses = {http.post("/v1/chat/completions", json=chat("hello")).status_code}
            before = process.num_fds()

            def only_others_are_left() -> bool:
                statuses.add(http.post("/v1/chat/completions", json=chat("hello")).status_code)
                return process.num_fds() < before + 10

            with (
                MemoryWatch(service.process.pid) as watch,
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TESTS) as crowd,
            ):
                assert crowd.stdout is not None
                assert crowd.stdout.readline() == "connected\n"
                wait_for(only_others_are_left)
                said, _ = crowd.communicate("look\n")  # stalled readers see only now that they were closed

    report = json.loads(said)
    assert {row["kind"]: row["closed"] for row in report} == {row["kind"]: row["number"] for row in report}
    assert sum(row["number"] for row in report) > 900
    assert statuses == {200}
    assert watch.growth_bytes < 100_000_000
