"""SIGTERM while requests stream: they finish, nothing new begins, the exit status is 0."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from sqlalchemy import select

from sightline.store.database import Database
from sightline.store.tables import ledger
from sightline.testing.live_server import LiveServer
from support.bodies import events
from support.live import LONG_TEXT, PEEK, question, recitation, wait_for

pytestmark = pytest.mark.e2e

STREAMS = 4
NOT_CHARGED = {("failed", 0), ("interrupted", 0), ("reserved", 0)}  # the last until the next start


@pytest.fixture
def own() -> Iterator[LiveServer]:
    """A service that a test may stop."""
    with LiveServer("--model", PEEK) as service:
        yield service


def test_sigterm_lets_streams_finish_and_takes_no_more(own: LiveServer) -> None:
    assert own.process is not None
    begun = threading.Barrier(STREAMS + 1, timeout=60)

    with ThreadPoolExecutor(STREAMS) as threads:
        streams = [threads.submit(stream, own, begun) for _ in range(STREAMS)]
        begun.wait()  # every stream has its first piece
        own.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(own))
        answers = [stream.result() for stream in streams]
    status = own.process.wait(60)

    assert [answer[-1] for answer in answers] == ["[DONE]"] * STREAMS
    texts = [
        "".join(choice["delta"].get("content", "") for c in answer[:-1] for choice in c["choices"])
        for answer in answers
    ]
    assert [json.loads(text) for text in texts] == [LONG_TEXT] * STREAMS
    assert status == 0


def test_what_a_second_sigterm_cuts_off_is_not_charged(own: LiveServer) -> None:
    assert own.process is not None
    begun = threading.Barrier(STREAMS + 1, timeout=60)

    with ThreadPoolExecutor(STREAMS) as threads:
        streams = [threads.submit(stream, own, begun) for _ in range(STREAMS)]
        begun.wait()
        own.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(own))
        own.process.send_signal(signal.SIGTERM)
        own.process.wait(60)
        failures = [one.exception() for one in streams]

    database = Database.in_folder(own.data)
    rows = database.read(lambda connection: connection.execute(select(ledger)).all())
    database.close()
    assert any(failures)
    assert {(row.outcome, row.completion_tokens) for row in rows if row.outcome != "completed"} <= NOT_CHARGED


def stream(service: LiveServer, begun: threading.Barrier) -> list:
    """Read a long answer from its first piece, which it announces, to its last."""
    headers = {"authorization": f"Bearer {service.api_key}"}
    asked = question(response_format=recitation(), stream=True)
    address = f"{service.base_url}/chat/completions"
    with httpx2.stream("POST", address, json=asked, headers=headers, timeout=60) as response:
        pieces = response.iter_text()
        first = next(pieces)
        begun.wait()
        return events(first + "".join(pieces))


def refuses(service: LiveServer) -> bool:
    """Whether a new caller is turned away: no connection, or one that is told to come later."""
    try:
        return httpx2.get(f"{service.url}/health/ready", timeout=10).status_code == 503
    except httpx2.TransportError:
        return True
