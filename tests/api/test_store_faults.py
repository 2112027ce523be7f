"""The database fails, as a client meets it: 503, never 401, no answer without a row, then all is well.

Source: no row, no answer (contract.md section 9).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from itertools import chain
from typing import Any

import httpx2
import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import DBAPIError

from sightline import failpoints
from sightline.core import SpendingLimit
from sightline.metering import ledger as ledger_module
from sightline.pipeline import accounting
from sightline.store.database import Database
from sightline.store.tables import ledger
from sightline.testing.scripted_engine import ScriptedEngine
from support.asgi import until
from support.bodies import CHAT, chat, events
from support.databases import fresh_database, postgres_process
from support.failures import assert_error, assert_error_body

pytestmark = pytest.mark.anyio
Make = Callable[..., str]
AFTER_S = 5.0


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    failpoints.arm("")


def rows(database: Database) -> list[Any]:
    return list(database.read(lambda c: c.execute(select(ledger)).all()))


@contextmanager
def armed(database: Database, plan: str) -> Iterator[None]:
    failpoints.arm(plan)
    yield
    failpoints.arm("")


@contextmanager
def pragma(database: Database, bad: str, good: str) -> Iterator[None]:
    """Make SQLite itself refuse writes, on every connection."""
    wanted = bad

    def begin(connection: Any) -> None:
        connection.exec_driver_sql(f"PRAGMA {wanted}")

    event.listen(database.engine, "begin", begin)
    yield
    wanted = good


def full_disk(database: Database) -> Any:
    pages = database.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
    return pragma(database, f"max_page_count={pages}", "max_page_count=1000000")


def read_only(database: Database) -> Any:
    return pragma(database, "query_only=ON", "query_only=OFF")


@contextmanager
def locked(database: Database) -> Iterator[None]:
    assert database.folder is not None
    other = sqlite3.connect(database.folder / "sightline.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


FAULTS: dict[str, Callable[[Database], Any]] = {
    "write": lambda database: armed(database, "store.write=error"),
    "commit": lambda database: armed(database, "store.commit=error"),
    "all": lambda database: armed(database, "store.read=error store.write=error"),
    "slow": lambda database: armed(database, "store.write=slow:0.7 store.commit=error"),
    "disk full": full_disk,
    "read only": read_only,
    "locked": locked,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_database_that_fails_is_503_and_heals(
    client: httpx2.AsyncClient, database: Database, make_key: Make, fault: str, stream: bool
) -> None:
    strange = {"authorization": f"Bearer {make_key('not known yet')}"}
    limited = {"authorization": f"Bearer {make_key('limited', spending=SpendingLimit(10**12, 'day'))}"}
    rounds = 12 if fault == "disk full" else 1  # it may have room for a few rows
    heads = [({}, strange, limited, {"idempotency-key": f"k{at}"}) for at in range(rounds)]
    refused: list[httpx2.Response] = []

    with FAULTS[fault](database):
        for head in chain.from_iterable(heads):
            answer = await client.post(CHAT, json=chat("a", stream=stream), headers=head)
            if answer.status_code != 200 or b"store_unavailable" in answer.content:
                refused.append(answer)
    while (healed := await client.post(CHAT, json=chat("a b", stream=stream))).status_code != 200:
        assert_error(healed, 503, "store_unavailable")

    assert refused
    for answer in refused:
        if stream and fault == "disk full" and answer.status_code == 200:
            # Its row was reserved in the last room there was. After the first byte an error is an event, then the end.
            *_, last = events(answer.content)
            assert_error_body(last, 503, "store_unavailable")
        else:
            assert_error(answer, 503, "store_unavailable")
    assert healed.status_code == 200
    completed = [row for row in rows(database) if row.outcome == "completed"]
    assert len(completed) == 4 * rounds - len(refused) + 1
    await until(lambda: not [row for row in rows(database) if row.outcome == "reserved"], AFTER_S * 4)


async def test_who_waits_behind_a_lock_is_refused_too(client: httpx2.AsyncClient, database: Database) -> None:
    """While the lock is held: nobody waits for its end."""
    await client.get("/v1/models")

    with locked(database):
        answers = await asyncio.gather(*(client.post(CHAT, json=chat("a")) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {503}


async def test_a_slow_disk_is_waited_for(client: httpx2.AsyncClient, database: Database) -> None:
    failpoints.arm("store.commit=slow:0.2")

    answers = await asyncio.gather(*(client.post(CHAT, json=chat("a")) for _ in range(8)))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert [row.outcome for row in rows(database)] == ["completed"] * 8


@pytest.mark.parametrize("seed", range(12))
async def test_any_mix_of_faults_keeps_the_books(client: httpx2.AsyncClient, database: Database, seed: int) -> None:
    failpoints.arm(f"seed={seed} store.write=error@0.2 store.commit=error@0.2 store.read=error@0.05")
    received: dict[str, tuple[int, int]] = {}
    statuses: Counter[int] = Counter()

    for number in range(12):
        name, stream = f"r-{seed}-{number}", number % 2 == 0
        body = chat(
            "a " * (number + 1), stream=stream, **({"stream_options": {"include_usage": True}} if stream else {})
        )
        answer = await client.post(CHAT, json=body, headers={"x-request-id": name})
        statuses[answer.status_code] += 1
        if answer.status_code == 200 and b"store_unavailable" not in answer.content:
            last = events(answer.content)[-2] if stream else answer.json()
            received[name] = (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"])
    failpoints.arm("")
    await until(lambda: not [row for row in rows(database) if row.outcome == "reserved"], AFTER_S * 4)

    completed = {row.request_id: row for row in rows(database) if row.outcome == "completed"}
    assert set(statuses) <= {200, 503}
    assert set(received) == set(completed)
    assert {name: (row.prompt_tokens, row.completion_tokens) for name, row in completed.items()} == received
    assert all(row.prompt_nanos == 0 for row in rows(database) if row.outcome != "completed")


async def test_a_dead_engine_is_503_and_free(
    client: httpx2.AsyncClient, database: Database, engine: ScriptedEngine
) -> None:
    engine.step_s = 0.02
    running = asyncio.create_task(client.post(CHAT, json=chat("a b c d e f")))
    await until(lambda: engine.steps > 1)

    await engine.stop()
    answer = await running
    after = await client.post(CHAT, json=chat("a"))

    assert_error(answer, 503, "engine_unavailable")
    assert after.status_code == 503
    await until(lambda: [(row.outcome, row.status) for row in rows(database)] == [("failed", 503)])


@pytest.mark.parametrize("jump", [timedelta(hours=-25), timedelta(days=400)], ids=["back", "ahead"])
async def test_a_clock_that_jumps_hurts_no_request(
    client: httpx2.AsyncClient, database: Database, make_key: Make, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    offset = timedelta(0)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + offset

    monkeypatch.setattr(accounting, "datetime", Clock)
    monkeypatch.setattr(ledger_module, "datetime", Clock)
    key = {"authorization": f"Bearer {make_key(spending=SpendingLimit(10**12, 'month'))}"}
    before = await client.post(CHAT, json=chat("a"), headers={**key, "idempotency-key": "before"})

    offset = jump
    after = [await client.post(CHAT, json=chat("a"), headers=key) for _ in range(3)]
    again = await client.post(CHAT, json=chat("a"), headers={**key, "idempotency-key": "before"})
    offset = timedelta(0)
    back = await client.post(CHAT, json=chat("a"), headers=key)

    assert [answer.status_code for answer in (before, *after, again, back)] == [200] * 6
    assert jump > timedelta(0) or again.content == before.content
    assert {row.outcome for row in rows(database)} == {"completed"}


async def test_a_clock_set_back_while_a_request_runs_leaves_a_row_in_order(
    client: httpx2.AsyncClient, database: Database, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) - timedelta(hours=1)

    engine.step_s = 0.02
    running = asyncio.create_task(client.post(CHAT, json=chat("a b c d")))
    await until(lambda: engine.steps > 1)
    monkeypatch.setattr(ledger_module, "datetime", Late)

    answer = await running

    (row,) = rows(database)
    assert answer.status_code == 200
    assert row.ended_at >= row.created_at


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with postgres_process() as server:
        yield server


class TestPostgres:
    """A real Postgres that is stopped and started again."""

    @pytest.fixture
    def database(self, server: Any) -> Iterator[Database]:
        with fresh_database(server.get_uri()) as url:
            database = Database.at(url)
            yield database
            database.close()

    @pytest.fixture
    async def known(self, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
        await client.get("/v1/models")
        return client

    @pytest.mark.timeout(300)
    async def test_stopped_is_503_and_started_again_is_well(
        self, known: httpx2.AsyncClient, database: Database, make_key: Make, server: Any
    ) -> None:
        strange = {"authorization": f"Bearer {make_key('not known yet')}"}
        first = await known.post(CHAT, json=chat("a"))

        await asyncio.to_thread(server.stop)
        refused = []
        try:
            for head in ({}, strange, {"idempotency-key": "k"}, {}):
                refused.append(await known.post(CHAT, json=chat("a"), headers=head))
        finally:
            await asyncio.to_thread(server.start)
        while (healed := await known.post(CHAT, json=chat("a"))).status_code != 200:
            assert_error(healed, 503, "store_unavailable")

        assert first.status_code == 200
        for answer in refused:
            assert_error(answer, 503, "store_unavailable")
            await until(lambda: _outcomes(database)["completed"] == 2 and not _outcomes(database)["reserved"], 20)


def _outcomes(database: Database) -> Counter[str]:
    try:
        return Counter(row.outcome for row in rows(database))
    except DBAPIError:
        return Counter()
