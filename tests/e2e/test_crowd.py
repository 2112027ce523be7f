"""A thousand stalled clients at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import psutil
import pytest

from support.bodies import chat
from support.running import Running
from support.watching import MemoryWatch

pytestmark = pytest.mark.e2e

LOOK_S = 20.0
TOML = (
    "[server]\nheader_timeout_s = 2.0\nbody_timeout_s = 4.0\nwrite_timeout_s = 4.0\nmax_buffered_bytes = 30_000_000\n"
)
TESTS = Path(__file__).parents[1]


@pytest.mark.timeout(300)
def test_thousand_stalled_clients_are_closed_and_others_are_served(tmp_path: Path) -> None:
    with Running(tmp_path, toml=TOML) as service:
        key = service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")
        process = psutil.Process(service.process.pid)
        with httpx2.Client(base_url=service.url, headers={"authorization": f"Bearer {key}"}, timeout=60) as http:
            assert http.post("/v1/chat/completions", json=chat("hello")).status_code == 200
            before = process.num_fds()
            command = [sys.executable, "-m", "support.crowd", service.url, key, "0.1", str(LOOK_S)]
            with MemoryWatch(service.process.pid) as watch:
                crowd = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TESTS)
                reported: list[str] = []
                reader = threading.Thread(target=lambda: reported.extend(crowd.stdout or ()))
                reader.start()
                statuses = set()
                while reader.is_alive():
                    statuses.add(http.post("/v1/chat/completions", json=chat("hello")).status_code)
                    reader.join(0.1)
                crowd.wait()
                assert crowd.stdout is not None
                crowd.stdout.close()
            left = process.num_fds() - before

    report = json.loads(reported[-1])
    assert {row["kind"]: row["closed"] for row in report} == {row["kind"]: row["number"] for row in report}
    assert sum(row["number"] for row in report) > 900
    assert statuses == {200}
    assert watch.growth_bytes < 100_000_000
    assert left < 10
    assert "Traceback" not in service.said
