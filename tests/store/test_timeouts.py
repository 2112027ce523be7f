"""A Postgres that says nothing while its connections stay open: a stopped server, a stalled disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text

from sightline.errors import StoreUnavailable
from sightline.store.database import Database
from sightline.store.timeouts import TimeoutConnection, set_statement_timeout


@pytest.fixture
def database(empty_postgres: str) -> Iterator[Database]:
    database = Database.at(empty_postgres)
    yield database
    database.close()


@contextmanager
def stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def backend(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_options_of_the_url_hold_beside_ours(empty_postgres: str) -> None:
    more = "&" if "?" in empty_postgres else "?"

    database = Database.at(f"{empty_postgres}{more}options=-c%20application_name%3Dmine")
    found = [
        database.read(lambda connection, name=name: connection.execute(text(f"SHOW {name}")).scalar_one())
        for name in ("application_name", "statement_timeout")
    ]
    database.close()

    assert found == ["mine", "1s"]


def slow(connection: Connection) -> None:
    connection.execute(text("SELECT pg_sleep(1.2)"))


def allowed_to_be_slow(connection: Connection) -> None:
    set_statement_timeout(connection, 5.0)
    slow(connection)


def test_server_that_says_nothing_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimeoutConnection, "response_timeout_s", 0.3)

    def fall_silent(connection: Connection) -> None:
        process = backend(connection)
        with stopped(process):
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        database.transaction(fall_silent)


def test_connection_that_fell_silent_is_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimeoutConnection, "response_timeout_s", 0.3)
    process = database.read(backend)

    with stopped(process):
        assert database.transaction(backend) != process


def test_statement_may_take_longer_where_that_is_allowed(database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        database.read(slow)

    database.read(allowed_to_be_slow)

    with pytest.raises(StoreUnavailable):
        database.read(slow)


def test_timeout_ends_with_the_transaction(database: Database) -> None:
    def timeout(connection: Connection) -> float:
        driver = connection.connection.driver_connection
        assert isinstance(driver, TimeoutConnection)
        return driver.response_timeout_s

    database.read(allowed_to_be_slow)

    assert database.read(timeout) == TimeoutConnection.response_timeout_s
