"""Which of the processes that share a database still live, so that what a dead one left can be cleared away.

A sign of life is a lock that the operating system or Postgres takes back when its holder dies: no clock to jump, no
time to wait. Each process has a number, written into the rows that it holds.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from sightline.store.failures import failing_as_unavailable
from sightline.store.patience import wait_for

_CLASS = 7_305_811  # of our locks among those that others may take in the same Postgres
_PATIENCE_S = 30.0
"""A Postgres that stalls keeps the lock; to give its connection up would be to lose it."""


class Presence(Protocol):
    """This process's sign of life, and a look at those of others."""

    number: int

    def renew(self) -> None:
        """Give the sign again if it was lost with a connection.

        Raises:
            StoreUnavailable: the database failed.
        """
        ...

    def dead(self, numbers: Iterable[int]) -> set[int]:
        """Return those of `numbers` whose process is gone; never this one's.

        Raises:
            StoreUnavailable: that cannot be found out.
        """
        ...

    def close(self) -> None:
        """Take the sign back."""
        ...


class FilePresence:
    """A locked file for each process on this machine. Those of killed ones are cleared away when another starts."""

    def __init__(self, folder: Path) -> None:
        self.number = secrets.randbits(31)
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        with _alone(folder):  # a file that was made and is not locked yet looks as if its process were dead
            self._file = os.open(self._path(self.number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            for path in folder.glob("*.lock"):
                with suppress(OSError):  # another user's
                    _is_dead(path)

    def renew(self) -> None:
        """A file's lock is never lost."""

    def dead(self, numbers: Iterable[int]) -> set[int]:
        """See `Presence.dead`."""
        with failing_as_unavailable():
            return {number for number in numbers if number != self.number and _is_dead(self._path(number))}

    def close(self) -> None:
        """See `Presence.close`."""
        with suppress(OSError):  # in a folder that is not ours any more: without its lock the file says nothing
            self._path(self.number).unlink(missing_ok=True)
        os.close(self._file)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.lock"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time come into `folder`, or clear it."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _is_dead(path: Path) -> bool:
    """Whether the process of this file is gone; then so is the file."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    path.unlink(missing_ok=True)
    return True


class PostgresPresence:
    """An advisory lock for each process, on a connection that does nothing else."""

    def __init__(self, engine: Engine) -> None:
        self.number = secrets.randbits(31)
        self._engine = engine
        self._connection: Connection | None = None
        self._renewing = threading.RLock()
        self.renew()

    def renew(self) -> None:
        """Take the lock; on a new connection if the old one is gone. That it is asked keeps it from being ended."""
        with self._renewing, failing_as_unavailable():
            if self._connection is not None:
                try:
                    self._connection.execute(text("SELECT 1"))
                    return
                except DBAPIError:
                    self.close()
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            wait_for(connection, _PATIENCE_S)
            connection.execute(text("SELECT pg_advisory_lock(:kind, :number)"), {"kind": _CLASS, "number": self.number})
            self._connection = connection

    def dead(self, numbers: Iterable[int]) -> set[int]:
        """See `Presence.dead`."""
        others = set(numbers) - {self.number}
        with (
            failing_as_unavailable(),
            self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            return {number for number in others if _is_free(connection, number)}

    def close(self) -> None:
        """See `Presence.close`."""
        with self._renewing:
            connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.invalidate()  # not back to the pool: its lock ends with it
                connection.close()


def _is_free(connection: Connection, number: int) -> bool:
    values = {"kind": _CLASS, "number": number}
    if not connection.execute(text("SELECT pg_try_advisory_lock(:kind, :number)"), values).scalar():
        return False
    connection.execute(text("SELECT pg_advisory_unlock(:kind, :number)"), values)
    return True
