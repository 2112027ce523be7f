"""What the clients of `bench overload` count: every request that they sent, answered or not."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bench import overload

PLAN = overload.Plan("{}", 0.3, True, {"key": 40.0})


def sent_to(port: int) -> overload.Met:
    async def run() -> overload.Met:
        clients = overload.Flood(f"http://127.0.0.1:{port}", PLAN)
        await clients.run()
        return clients.met["key"]

    return asyncio.run(run())


def test_who_is_never_answered_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overload, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        met = sent_to(silent.getsockname()[1])

    assert met.sent > 0
    assert met.statuses == {"no answer": met.sent}


def test_who_finds_nobody_is_counted() -> None:
    with socket.socket() as taken:  # It does not listen.
        taken.bind(("127.0.0.1", 0))
        met = sent_to(taken.getsockname()[1])

    assert met.sent > 0
    assert met.statuses == {"no connection": met.sent}
