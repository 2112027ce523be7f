"""Two processes that keep one ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sightline.store.database import Database
from support.ledgers import Process


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
