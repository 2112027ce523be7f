"""`sightline serve` as a process: starts, greets, drains, and says in a sentence why it cannot start."""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from sightline.store.database import Database
from sightline.store.tables import ledger
from support.bodies import chat, events
from support.running import Running

pytestmark = pytest.mark.e2e


def key_of(service: Running) -> str:
    return service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)")


def ask(service: Running, key: str, text: str, **more: object) -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx2.post(f"{service.url}/v1/chat/completions", json=chat(text, **more), headers=headers, timeout=30)


def test_first_start_shows_a_key_once_and_the_next_does_not(tmp_path: Path) -> None:
    with Running(tmp_path) as first:
        key = key_of(first)
        answer = ask(first, key, "hello there")
        assert httpx2.get(f"{first.url}/health/ready").status_code == 200
        first.process.send_signal(signal.SIGTERM)
        assert first.end() == 0

    with Running(tmp_path) as second:
        again = ask(second, key, "hello again")
        assert "sk-sl-" not in second.said

    assert answer.json()["choices"][0]["message"]["content"] == "hello there"
    assert again.json()["choices"][0]["message"]["content"] == "hello again"
    assert first.said.count(key) == 1
    assert "hello" not in first.said


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_stop_lets_running_requests_finish_and_takes_no_more(tmp_path: Path, stop: signal.Signals) -> None:
    with Running(tmp_path, step_s=0.05) as service:
        key = key_of(service)
        headers = {"authorization": f"Bearer {key}"}
        body = chat("word " * 20, stream=True)
        url = f"{service.url}/v1/chat/completions"
        with httpx2.stream("POST", url, json=body, headers=headers, timeout=30) as answer:
            pieces = answer.iter_text()
            received = next(pieces)

            service.process.send_signal(stop)
            received += "".join(pieces)

        assert service.end() == 0

    assert events(received)[-1] == "[DONE]"
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{service.url}/health/live")


def test_second_signal_does_not_wait(tmp_path: Path) -> None:
    with Running(tmp_path, step_s=1) as service:
        key = key_of(service)
        headers = {"authorization": f"Bearer {key}"}
        with httpx2.stream(
            "POST",
            f"{service.url}/v1/chat/completions",
            json=chat("word " * 90, stream=True),
            headers=headers,
            timeout=30,
        ):
            service.process.send_signal(signal.SIGINT)
            service.process.send_signal(signal.SIGTERM)

            assert service.end() in (0, 130)

    assert "Traceback" not in service.said


@pytest.mark.parametrize("stream", [False, True])
def test_requests_that_outlast_the_drain_fail_and_cost_nothing(tmp_path: Path, stream: bool) -> None:
    with Running(tmp_path, step_s=0.1, toml="[server]\nshutdown_timeout_s = 1\n") as service:
        key = key_of(service)
        answers: list[httpx2.Response] = []
        body = {"max_tokens": 400, "stream": stream}
        asking = threading.Thread(target=lambda: answers.append(ask(service, key, "word " * 400, **body)))
        asking.start()
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)

        assert service.end() == 0
        asking.join()

    (answer,) = answers
    if stream:
        assert "word" in answer.text
        assert events(answer.text)[-1]["error"]["code"] == "engine_unavailable"
    else:
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "engine_unavailable"
        assert answer.headers["retry-after"]
    database = Database.in_folder(tmp_path / "data")
    (row,) = database.read(lambda connection: connection.execute(select(ledger)).all())
    database.close()
    assert (row.outcome, row.status, row.completion_tokens) == ("failed", 503, 0)
    assert "Traceback" not in service.said


def refusal(folder: Path, *arguments: str, toml: str = "") -> str:
    service = Running(folder, toml=toml, arguments=arguments)
    try:
        assert service.end() == 1
    finally:
        service.kill()
    assert "Traceback" not in service.said
    return service.said


def test_port_in_use_is_a_sentence_and_uses_up_no_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        said = refusal(tmp_path, "--port", str(port))

    assert f"error: Cannot listen on http://127.0.0.1:{port}: Address already in use." in said
    with Running(tmp_path) as service:
        assert key_of(service)


@pytest.mark.parametrize(
    ("arguments", "toml", "sentence"),
    [
        (("--model", "no/such-model"), "", "neither a folder nor a model"),
        (("--model", "."), "", "error: "),
        (("--port", "70000"), "", "server.port"),
        (("--host", "nowhere.invalid"), "", "Cannot listen on http://nowhere.invalid:0"),
        (("--config", "none.toml"), "", "none.toml cannot be read"),
        (("--data", "/dev/null/x"), "", "The data folder /dev/null/x cannot be used"),
        (("--alias", "x"), "", "ALIAS=MODEL"),
        ((), "[limits]\nmax_in_flight = 0", "limits.max_in_flight"),
        ((), '[[engines]]\nkind = "magic"', "no engine 'magic'"),
        ((), '[[engines]]\nkind = "scripted"\noptions = {speed = 1}', "does not take these options"),
    ],
)
def test_start_that_cannot_work_is_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], toml: str, sentence: str
) -> None:
    assert sentence in refusal(tmp_path, *arguments, toml=toml)


def test_who_leaves_a_plain_answer_pays_for_what_was_made(tmp_path: Path) -> None:
    with Running(tmp_path, step_s=0.02) as service:
        headers = {"authorization": f"Bearer {key_of(service)}"}
        body = chat("word " * 500, max_tokens=500)
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{service.url}/v1/chat/completions", json=body, headers=headers, timeout=1.0)

        rows: list[dict[str, Any]] = []
        for _ in range(100):
            rows = httpx2.get(f"{service.url}/v1/usage/requests", headers=headers).json()["data"]
            if rows:
                break
            time.sleep(0.1)

    assert [row["outcome"] for row in rows] == ["cancelled"]
    assert rows[0]["prompt_tokens"] == 500
    assert 5 < rows[0]["completion_tokens"] < 200
