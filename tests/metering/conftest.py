"""Two processes that keep one ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sightline.store import group_commit
from sightline.store.database import Database
from support.ledgers import Process


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other things refuses nobody."""
    monkeypatch.setattr(group_commit, "WAIT_S", 1000.0)
    monkeypatch.setattr(group_commit, "RETRY_WITHIN_S", 1000.0)


@pytest.fixture
async def process(any_database: Database) -> AsyncIterator[Process]:
    process = Process(any_database)
    process.committer.start()
    yield process
    await process.stop()


@pytest.fixture
async def other(any_database: Database) -> AsyncIterator[Process]:
    other = Process(any_database)
    other.committer.start()
    yield other
    await other.stop()
