"""The soak, a short one: `make soak` runs it for longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from soak import kills, restarts
from soak.place import place
from support.databases import KINDS

KILLS, RESTARTS = 8, 3
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def server_of(request: pytest.FixtureRequest, kind: str) -> str:
    return str(request.getfixturevalue("postgres_server")) if kind == "postgres" else ""


@pytest.mark.parametrize("kind", KINDS)
def test_ledger_tells_what_clients_received_whatever_is_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with place(kind, tmp_path, server_of(request, kind)) as where:
        result = asyncio.run(kills.run(where, KILLS, 7, 10, lambda: None))

    assert result.problems == []
    assert result.done == KILLS
    assert result.figures["answers received whole"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_rolling_restarts_fail_no_request(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with place(kind, tmp_path, server_of(request, kind)) as where:
        result = asyncio.run(restarts.run(where, RESTARTS, 10, lambda: None))

    assert result.problems == []
    assert result.done == RESTARTS
    assert result.figures["answered"] > 0
