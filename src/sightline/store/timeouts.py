"""Timeouts of Postgres: it ends a statement that takes too long, and is given up where it does not.

A server whose disk stalls, or that is stopped, keeps its connections open and does not answer. What it was asked then
has failed as if the connection had broken: of a commit nobody knows whether it holds.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event, text

_STATEMENT_S = 1.0
_SLACK_S = 1.0
"""Beyond the time after which the server would have ended the statement itself."""
OPTIONS = (
    f"-c statement_timeout={_STATEMENT_S * 1000:.0f} -c lock_timeout=800 -c idle_in_transaction_session_timeout=5000"
)


class TimeoutConnection(psycopg.Connection[Any]):
    """A connection that is closed when its server has not answered for `response_timeout_s`."""

    response_timeout_s = _STATEMENT_S + _SLACK_S

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """See psycopg.

        Raises:
            psycopg.OperationalError: the server did not answer.
        """
        limit_s = self.response_timeout_s if timeout is None else timeout
        begun_s = time.monotonic()
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.OperationalError as error:
            if time.monotonic() - begun_s < limit_s:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server did not answer within {limit_s} s") from error


def install_timeouts(engine: Engine) -> None:
    """Have a Postgres engine make `TimeoutConnection`s."""

    def connect(_dialect: Any, _record: Any, args: Any, parameters: Any) -> TimeoutConnection:
        return TimeoutConnection.connect(*args, **parameters)

    def reset(connection: TimeoutConnection | None, _record: Any) -> None:
        if connection is not None:
            connection.response_timeout_s = TimeoutConnection.response_timeout_s

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "checkin", reset)


def set_statement_timeout(connection: Connection, seconds: float) -> None:
    """Let each statement of this transaction take so long; SQLite has no limit."""
    if connection.dialect.name == "postgresql":
        value = {"value": f"{seconds * 1000:.0f}"}
        connection.execute(text("SELECT set_config('statement_timeout', :value, true)"), value)
        set_response_timeout(connection, seconds + _SLACK_S)


def set_response_timeout(connection: Connection, seconds: float) -> None:
    """Wait so long for a Postgres to answer, until the connection is given back."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, TimeoutConnection)
    driver.response_timeout_s = seconds
