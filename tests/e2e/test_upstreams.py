"""Sightline in front of two others, of which one is killed or stopped under load, or is no better than it is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from sightline.testing.live_server import LiveServer
from support.live import image, question, wait_for
from support.upstreams import Rude

pytestmark = pytest.mark.e2e

CHAT = "/v1/chat/completions"
SHARED = """
[[upstreams]]
urls = ["{}", "{}"]
key_env = "SIGHTLINE_UPSTREAM_KEY"
idle_timeout_s = 2.0
request_timeout_s = 2.0
"""
REQUESTS = 120
MANNERS = ("500", "503", "hang", "silent", "garbage", "cut at once", "cut before a word", "cut", "lie", "no usage")
MODEL = "sightline/scripted"
ENGINE = '[[engines]]\nkind = "scripted"\noptions = {answer = "one two three", step_s = 0.01}\n'


@contextmanager
def two_services(folder: Path) -> Iterator[list[LiveServer]]:
    """Two services with one key."""
    config = folder / "behind.toml"
    config.write_text(ENGINE)
    with ExitStack() as stack:
        services = [stack.enter_context(LiveServer("--config", str(config))) for _ in range(2)]
        first, second = (next(service.data.glob("*.db")) for service in services)
        with sqlite3.connect(second) as database:
            database.execute("ATTACH ? AS other", (str(first),))
            database.execute("INSERT INTO api_keys SELECT * FROM other.api_keys")
        database.close()
        yield services


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LiveServer]]:
    """Two services that no test harms."""
    with two_services(tmp_path_factory.mktemp("behind")) as services:
        yield services


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[list[LiveServer]]:
    """Two services of which a test may end one."""
    with two_services(tmp_path) as services:
        yield services


@pytest.fixture
def front(behind: list[LiveServer], monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    monkeypatch.setenv("SIGHTLINE_UPSTREAM_KEY", behind[0].api_key)
    with LiveServer("--upstream", ",".join(service.url for service in behind)) as service:
        wait_for(lambda: service.log.count("upstream_ready") == 2)
        yield service


@pytest.fixture
def http(front: LiveServer) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {front.api_key}"}
    with httpx2.Client(base_url=front.url, headers=headers, timeout=60) as client:
        yield client


def test_models_and_preview_are_those_behind(http: httpx2.Client, behind: list[LiveServer]) -> None:
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
    http: httpx2.Client, front: LiveServer, behind: list[LiveServer], number: signal.Signals
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


@pytest.fixture
def rude() -> Iterator[Rude]:
    """A stand-in with a model of the same name, in a thread of its own; well-behaved until it is told otherwise."""
    server, loop = Rude(id=MODEL), asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    server.usage = {"completion_tokens": 99_999}
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def said(http: httpx2.Client, asked: dict[str, Any]) -> tuple[int, str, bool]:
    """Ask; the status, the text that came, and whether an error came in the stream after it."""
    if not asked.get("stream"):
        answer = http.post(CHAT, json=asked)
        return answer.status_code, answer.json()["choices"][0]["message"]["content"] if answer.is_success else "", False
    with http.stream("POST", CHAT, json=asked) as answer:
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in event.get("choices", [])]
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    return answer.status_code, text, any("error" in event for event in events)


@pytest.mark.parametrize("manner", MANNERS)
def test_rude_upstream_costs_no_request_of_which_nothing_was_sent(
    lasting: list[LiveServer],
    rude: Rude,
    manner: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SIGHTLINE_UPSTREAM_KEY", lasting[0].api_key)
    config = tmp_path / "front.toml"
    config.write_text(SHARED.format(lasting[0].url, rude.url))
    with ExitStack() as stack:
        front = stack.enter_context(LiveServer("--config", str(config)))
        wait_for(lambda: front.log.count("upstream_ready") == 2)
        headers = {"authorization": f"Bearer {front.api_key}"}
        http = stack.enter_context(httpx2.Client(base_url=front.url, headers=headers, timeout=60))
        threads = stack.enter_context(ThreadPoolExecutor(8))
        answers = []
        for sent in range(REQUESTS):
            asked = {"model": MODEL, "messages": [{"role": "user", "content": f"{sent} one"}], "stream": sent % 2 == 1}
            answers.append(threads.submit(said, http, asked))
            if sent == REQUESTS // 3:
                rude.manner = manner
            time.sleep(0.005)
        got = [answer.result() for answer in answers]
        with sqlite3.connect(next(front.data.glob("*.db"))) as database:
            rows = dict(database.execute("SELECT outcome, count(*) FROM ledger GROUP BY outcome").fetchall())
        database.close()

    cut = [text for _, text, failed in got if failed]
    with capsys.disabled():
        print(f"\n{manner}: {REQUESTS} requests, {REQUESTS - len(cut)} answered, {len(cut)} cut after a word", end="")
    assert {status for status, *_ in got} == {200}
    assert all(cut)
    assert manner == "cut" or not cut
    assert rows == {
        name: count for name, count in {"completed": REQUESTS - len(cut), "failed": len(cut)}.items() if count
    }
