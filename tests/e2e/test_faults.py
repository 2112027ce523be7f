"""An engine's process that is killed under load: the service stays up, says so in OpenAI's words, and recovers."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest

from sightline.testing.live_server import LiveServer
from support.failures import assert_error, assert_error_body
from support.live import LONG_TEXT, PEEK, TRANSCRIBER, engine_process, image, question, recitation, wait_for

pytestmark = pytest.mark.e2e

CHAT = "/v1/chat/completions"
_PAGE = Path(__file__).parents[2] / "examples" / "images" / "page.png"
PAGE, TEXT = _PAGE.read_bytes(), _PAGE.with_suffix(".txt").read_text()


@pytest.fixture(autouse=True)
def _ready_again(http: httpx2.Client) -> Iterator[None]:
    yield
    wait_for(lambda: http.get("/health/ready").status_code == 200)


def test_killed_model_answers_503_and_comes_back(http: httpx2.Client, service: LiveServer) -> None:
    child = engine_process(service, "genai")
    asked = question(response_format=recitation())

    with ThreadPoolExecutor() as threads, http.stream("POST", CHAT, json={**asked, "stream": True}) as stream:
        lines = stream.iter_lines()
        next(lines)  # the model is at work
        child.suspend()  # what is sent now is in flight for as long as we like
        plain = threads.submit(http.post, CHAT, json=asked)
        other = threads.submit(http.post, CHAT, json=question(image(PAGE), model=TRANSCRIBER))
        assert other.result().status_code == 200
        child.send_signal(signal.SIGSEGV)
        child.resume()
        rest = list(lines)
        refused = plain.result()
        while_down = http.post(CHAT, json=asked)
        not_ready = http.get("/health/ready")
        live = http.get("/health/live")
        other_engine = http.post(CHAT, json=question(image(PAGE), model=TRANSCRIBER))
        model = http.get(f"/v1/models/{PEEK}")

    assert stream.status_code == 200
    assert_error_body(json.loads(rest[-2].removeprefix("data: ")), 503, "engine_unavailable")
    assert_error(refused, 503, "engine_unavailable")
    assert_error(while_down, 503, "engine_unavailable")
    assert_error(model, 503, "engine_unavailable")
    assert not_ready.status_code == 503
    assert live.status_code == 200
    assert other_engine.status_code == 200
    wait_for(lambda: http.get("/health/ready").status_code == 200)
    assert engine_process(service, "genai").pid != child.pid
    answer = http.post(CHAT, json=asked).json()["choices"][0]["message"]["content"]
    assert json.loads(answer) == LONG_TEXT


def test_killed_transcriber_leaves_the_model_answering(http: httpx2.Client, service: LiveServer) -> None:
    child = engine_process(service, "transcribe")
    reading = question(image(PAGE), model=TRANSCRIBER)

    with http.stream("POST", CHAT, json={**reading, "stream": True}) as stream:
        lines = stream.iter_lines()
        next(lines)
        child.send_signal(signal.SIGSEGV)
        while_down = http.post(CHAT, json=question(max_tokens=4))
        for _ in lines:
            pass

    assert while_down.status_code == 200
    wait_for(lambda: http.get("/health/ready").status_code == 200)
    assert http.post(CHAT, json=reading).json()["choices"][0]["message"]["content"].split() == TEXT.split()


def test_killed_decoders_are_replaced(http: httpx2.Client, service: LiveServer) -> None:
    assert service.process is not None
    children = psutil.Process(service.process.pid).children()
    decoders = [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    for decoder in decoders:
        decoder.kill()
    answer = http.post(CHAT, json=question(image(PAGE), "What is this?", max_tokens=1))

    assert decoders
    assert answer.status_code == 200
