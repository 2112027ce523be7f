"""Sightline in front of two others, of which one is killed, stopped and started again under load."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from sightline.local import LocalService
from support.live import image, question, wait_for

pytestmark = pytest.mark.e2e

CHAT = "/v1/chat/completions"
MODEL = "sightline/scripted"
ENGINE = '[[engines]]\nkind = "scripted"\noptions = {answer = "one two three", step_s = 0.01}\n'


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[list[LocalService]]:
    """Two services with one key."""
    config = tmp_path / "behind.toml"
    config.write_text(ENGINE)
    with ExitStack() as stack:
        services = [stack.enter_context(LocalService("--config", str(config))) for _ in range(2)]
        first, second = (next(service.data.glob("*.db")) for service in services)
        with sqlite3.connect(second) as database:
            database.execute("ATTACH ? AS other", (str(first),))
            database.execute("INSERT INTO api_keys SELECT * FROM other.api_keys")
        database.close()
        yield services


@pytest.fixture
def front(behind: list[LocalService], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalService]:
    monkeypatch.setenv("SIGHTLINE_UPSTREAM_KEY", behind[0].api_key)
    with LocalService("--upstream", ",".join(service.url for service in behind)) as service:
        wait_for(lambda: service.log.count("upstream_ready") == 2)
        yield service


@pytest.fixture
def http(front: LocalService) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {front.api_key}"}
    with httpx2.Client(base_url=front.url, headers=headers, timeout=60) as client:
        yield client


def test_models_and_preview_are_those_behind(http: httpx2.Client, behind: list[LocalService]) -> None:
    model = http.get(f"/v1/models/{MODEL}").json()
    asked = question(image(), "What is it?", model=MODEL)
    plain = http.post(CHAT, json=asked).json()
    preview = http.post(f"{CHAT}/input_tokens", json=asked).json()
    direct = httpx2.post(
        behind[0].url + CHAT, json=asked, headers={"authorization": f"Bearer {behind[0].api_key}"}, timeout=60
    ).json()

    assert model["context_length"] == 4096
    assert plain["choices"][0]["message"]["content"] == "one two three"
    assert plain["usage"] == direct["usage"]
    assert preview["input_tokens"] == plain["usage"]["prompt_tokens"]
    assert "forwarded as sent" in plain["sightline"]["images"][0]["actions"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_loss_of_one_is_not_seen_where_nothing_was_sent(
    http: httpx2.Client, front: LocalService, behind: list[LocalService], number: signal.Signals
) -> None:
    asked = question(image(), model=MODEL)
    lost = behind[0].process
    assert lost is not None

    with ThreadPoolExecutor(8) as threads:
        answers = []
        for sent in range(160):
            answers.append(threads.submit(http.post, CHAT, json={**asked, "user": str(sent)}))
            if sent == 60:
                os.kill(lost.pid, number)
            time.sleep(0.005)
        statuses = [answer.result().status_code for answer in answers]
    os.kill(lost.pid, signal.SIGCONT) if number == signal.SIGSTOP else lost.wait()

    assert set(statuses) == {200}
    assert "upstream_ejected" in front.log
    rows = next(front.data.glob("*.db"))
    with sqlite3.connect(rows) as database:
        ended = database.execute("SELECT outcome, count(*) FROM ledger GROUP BY outcome").fetchall()
    database.close()
    assert ended == [("completed", 160)]
    if number == signal.SIGSTOP:
        wait_for(lambda: front.log.count("upstream_ready") == 3)
