"""Which of the servers that share a database still live, so that what a dead one left can be cleared away.

Each server has a number, written into the rows that it holds. A server on the same machine is judged by the kernel,
which takes a lock back at the moment of a death and never before. A server on another machine is seen through Postgres
only, where a broken connection looks like a death: it is judged dead after several looks, seconds apart, that all
found its lock free, and whoever judges then takes that lock for the transaction that acts on it. The server itself
takes its lock again within a second or two of losing it.

One that stays cut off for longer is fenced: its rows have ended, so that it can settle none of them.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from sightline.errors import StoreUnavailable
from sightline.store.failures import failing_as_unavailable
from sightline.store.timeouts import set_response_timeout

LOOKS = 3
"""So many looks in a row that find the lock of a server on another machine free make it dead."""
LOOKS_APART_S = 4.0
"""Looks that are closer together count as one."""
LOOKS_STALE_S = 4 * LOOKS_APART_S
"""After so long without a look they are counted anew: the server may have lived in between."""
_RENEW_S = 1.0
_RESPONSE_S = 30.0
"""A Postgres that stalls keeps the lock; to give its connection up would be to lose it."""
_HOST_BITS = 31

_HELD = text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND "
    "granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_LOCK = text("SELECT pg_try_advisory_lock(:number)")
_LOCK_IN_TRANSACTION = text("SELECT pg_try_advisory_xact_lock(:number)")


class Liveness(Protocol):
    """That this server lives, and a look at the others."""

    number: int

    @property
    def suspects(self) -> Collection[int]:
        """Those that look dead, and have to be looked at again before they are judged."""
        ...

    def dead(self, numbers: Iterable[int]) -> set[int]:
        """Return those of `numbers` whose server is gone; never this one's.

        Raises:
            StoreUnavailable: that cannot be found out.
        """
        ...

    def claim(self, connection: Connection, numbers: Iterable[int]) -> set[int]:
        """Return those of the dead that still are; none of them comes back before the transaction has ended."""
        ...

    def close(self) -> None:
        """End it: from now on this server is seen as dead."""
        ...


class FileLiveness:
    """A locked file for each server in a folder. Those of killed ones are removed when another starts."""

    suspects: tuple[int, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.number = secrets.randbits(31)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        made = folder / f"{self.number}.new"
        self._file = os.open(made, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        made.rename(self._path(self.number))  # only now: a file without a lock is a dead server's
        for path in folder.glob("*.lock"):
            with suppress(OSError):  # another user's
                _is_dead(path)

    def dead(self, numbers: Iterable[int]) -> set[int]:
        """See `Liveness.dead`."""
        with failing_as_unavailable():
            return {number for number in numbers if number != self.number and _is_dead(self._path(number))}

    def claim(self, connection: Connection, numbers: Iterable[int]) -> set[int]:
        """See `Liveness.claim`."""
        return set(numbers)

    def close(self) -> None:
        """See `Liveness.close`."""
        with suppress(OSError):  # in a folder that is not ours any more: without its lock the file says nothing
            self._path(self.number).unlink(missing_ok=True)
        os.close(self._file)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.lock"


def _is_dead(path: Path) -> bool:
    """Whether the server of this file is gone; then so is the file."""
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


class PostgresLiveness:
    """An advisory lock for each server, on a connection of its own, and a socket's name on its machine.

    A server's number begins with that of its machine.
    """

    def __init__(self, engine: Engine, *, host: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`host` is this machine's number, which is found out; `clock` says how far looks are apart."""
        self._host = host or _this_host() or secrets.randbits(_HOST_BITS)
        self.number = self._host << _HOST_BITS | secrets.randbits(_HOST_BITS)
        self.suspects: dict[int, tuple[int, float]] = {}
        self._clock = clock
        self._engine = engine
        self._connection: Connection | None = None
        self._renewing = threading.RLock()
        self._closed = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with suppress(OSError):  # not on Linux: then no other server takes this machine for its own
            self._socket.bind(_socket_name(self.number))
        try:
            self.renew()
        except StoreUnavailable:
            self._socket.close()
            raise
        threading.Thread(target=self._keep, name="liveness", daemon=True).start()

    def renew(self) -> None:
        """Take the lock on a new connection if the old one is gone. That it is asked keeps it from being ended.

        Raises:
            StoreUnavailable: the database failed.
        """
        with self._renewing, failing_as_unavailable():
            if self._connection is not None:
                try:
                    self._connection.execute(text("SELECT 1"))
                    return
                except DBAPIError:
                    self._disconnect()
            if self._closed.is_set():
                return
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            set_response_timeout(connection, _RESPONSE_S)
            self._connection = connection
            if not connection.execute(_LOCK, {"number": self.number}).scalar():
                self._disconnect()  # held by the old connection, whose end Postgres has not noticed

    def dead(self, numbers: Iterable[int]) -> set[int]:
        """See `Liveness.dead`."""
        others = set(numbers) - {self.number}
        here = {number for number in others if self._is_here(number)}
        return {number for number in here if not _is_bound(number)} | self._look(others - here)

    def claim(self, connection: Connection, numbers: Iterable[int]) -> set[int]:
        """See `Liveness.claim`."""
        return {
            number
            for number in numbers
            if self._is_here(number) or connection.execute(_LOCK_IN_TRANSACTION, {"number": number}).scalar()
        }

    def close(self) -> None:
        """See `Liveness.close`."""
        self._closed.set()
        with self._renewing:
            self._disconnect()
        self._socket.close()

    def _keep(self) -> None:
        while not self._closed.wait(_RENEW_S):
            with suppress(StoreUnavailable):  # logged where it failed; the next time comes
                self.renew()

    def _is_here(self, number: int) -> bool:
        return number >> _HOST_BITS == self._host

    def _look(self, numbers: set[int]) -> set[int]:
        if not numbers:
            return set()
        with failing_as_unavailable(), self._engine.begin() as connection:
            held = set(connection.execute(_HELD).scalars())
        for number in numbers & held:
            self.suspects.pop(number, None)
        return {number for number in numbers - held if self._is_long_free(number)}

    def _is_long_free(self, number: int) -> bool:
        now_s = self._clock()
        looks, last_s = self.suspects.get(number, (0, now_s))
        if now_s - last_s > LOOKS_STALE_S:
            looks = 0
        if not looks or now_s - last_s >= LOOKS_APART_S:
            looks += 1
            self.suspects[number] = looks, now_s
        if looks < LOOKS:
            return False
        self.suspects.pop(number, None)
        return True

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.invalidate()  # not back to the pool: its lock ends with it
                connection.close()


def _this_host() -> int | None:
    """A number that servers share which see each other's sockets; None where that cannot be told (not on Linux)."""
    try:
        words = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii") + os.readlink("/proc/self/ns/net")
    except OSError:
        return None
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big") >> 1 or 1


def _socket_name(number: int) -> str:
    """A name that is no file's: the kernel takes it back when the socket's process ends."""
    return f"\0sightline-server-{number}"


def _is_bound(number: int) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_socket_name(number))
        except OSError as error:
            return error.errno != errno.ECONNREFUSED  # of anything else nobody knows: then it lives
    return True
