"""Opens the database, brings its tables up to date, runs transactions off the event loop.

SQLite in the data folder by default, Postgres by URL; queries are written once, in SQLAlchemy Core, for both.
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError

from sightline.errors import ConfigError, ReportsBusy
from sightline.failpoints import failpoint
from sightline.store import timeouts
from sightline.store.failures import failing_as_unavailable
from sightline.store.liveness import FileLiveness, Liveness, PostgresLiveness

T = TypeVar("T")
VERSION = "0005"
"""The newest migration."""
MOST_REPORTS = 16
"""At once, those that wait among them."""
_REPORT_THREADS = 2
_LOCK_S = 0.8
_MIGRATION_S = 600.0
"""For one of its steps, and for another process's migration to end."""
_MIGRATION_LOCK = 7_305_810
_OLDEST_SQLITE = (3, 35)
"""The first with `RETURNING`."""
_NEWER = "was made by a newer Sightline; upgrade this one"
_POSTGRES = {"connect_timeout": 2, "tcp_user_timeout": 1000, "options": timeouts.OPTIONS}


def _postgres(url: URL) -> dict[str, Any]:
    """How to connect: what the URL says goes before, and of `options` both hold."""
    theirs = {name: str(value) for name, value in url.query.items() if name in _POSTGRES}
    return {**_POSTGRES, **theirs, "options": f"{theirs.get('options', '')} {timeouts.OPTIONS}".strip()}


class Database:
    """A database that is migrated to this version. Every member may be called from any thread.

    `was_empty` says that its tables were made just now. Without `migrate` an older one, or an empty one, is refused.
    """

    def __init__(self, url: str | URL, folder: Path | None = None, *, migrate: bool = True) -> None:
        self.folder = folder
        self.dialect = make_url(url).get_backend_name()
        # Asked before each use: connections to a server elsewhere end while they idle.
        asked = {"pool_pre_ping": not self.is_sqlite}
        self.engine = create_engine(url, connect_args={} if self.is_sqlite else _postgres(make_url(url)), **asked)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _durable)
            event.listen(self.engine, "begin", _begin)
        else:
            timeouts.install_timeouts(self.engine)
        # A transaction that will write says so at once: one that reads first may find that it can no longer write.
        self._writing = self.engine.execution_options(begin="BEGIN IMMEDIATE")
        self._reports = ThreadPoolExecutor(_REPORT_THREADS, "reports")
        self._reports_asked = 0
        with self.engine.begin() as connection:
            version = _version_of(connection)
        self.was_empty = version is None
        if version != VERSION:
            if not migrate:
                self.close()
                raise _OtherVersion(_why_not(version))
            self._migrate()

    @classmethod
    def open(cls, folder: Path, url: str = "", *, migrate: bool = True) -> Database:
        """Open the Postgres at `url`, or without one `sightline.db` in `folder`.

        Raises:
            ConfigError: it cannot be used; the message says why and carries no password.
        """
        return cls.at(url, migrate=migrate) if url else cls.in_folder(folder, migrate=migrate)

    @classmethod
    def at(cls, url: str, *, migrate: bool = True) -> Database:
        """Open a Postgres, `postgresql://user:password@host/name`.

        Raises:
            ConfigError: it cannot be used; the message says why and carries no password.
        """
        if url.count("@") > 1:  # what stands between them is half a password, and would be shown as the host
            raise ConfigError("--database has more than one @; write one within a password as %40.")
        try:
            parsed = make_url(url)
            shown = parsed.set(query={}).render_as_string()
            if parsed.get_backend_name() != "postgresql":
                raise ConfigError("--database takes postgresql://…; for SQLite leave it out and give --data.")
            return cls(parsed.set(drivername="postgresql+psycopg"), migrate=migrate)
        except (ArgumentError, ValueError):
            raise ConfigError("--database is no URL; write postgresql://user@host/name") from None
        except DatabaseError as error:
            raise ConfigError(f"The database {shown} cannot be used: {error.orig}.") from error
        except _OtherVersion as error:
            raise ConfigError(f"The database {shown} {error}.") from error

    @classmethod
    def in_folder(cls, folder: Path, *, migrate: bool = True) -> Database:
        """Open `sightline.db` in `folder`, readable by its owner alone; both are made when absent.

        Raises:
            ConfigError: the folder cannot be used, or what is in it is no database of this version or before; or the
                SQLite of this Python is too old.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigError(
                f"This Python has SQLite {sqlite3.sqlite_version}, Sightline needs 3.35 or newer. Use a Python with a "
                "newer SQLite, or give a Postgres with --database."
            )
        path = folder / "sightline.db"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            with _alone(folder):
                return cls(URL.create("sqlite", database=str(path)), folder, migrate=migrate)
        except OSError as error:
            raise ConfigError(f"The data folder {folder} cannot be used: {error.strerror}.") from error
        except DatabaseError as error:
            raise ConfigError(f"The database {path} cannot be used: {error.orig}.") from error
        except _OtherVersion as error:
            raise ConfigError(f"The database {path} {error}.") from error

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite rather than Postgres."""
        return self.dialect == "sqlite"

    def _migrate(self) -> None:
        # Loaded only where there is something to migrate: it takes a sixth of a start's time.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._writing.begin() as connection:
            if not self.is_sqlite:
                # A request's timeouts would end a step over a large ledger, or the wait for who migrates already.
                timeouts.set_statement_timeout(connection, _MIGRATION_S)
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                connection.execute(text("SET LOCAL lock_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
                # Requests of a running service wait behind who waits for a table.
                connection.execute(text("SET LOCAL lock_timeout = '10s'"))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise _OtherVersion(_NEWER) from error

    def liveness(self) -> Liveness:
        """Show others that share the database that this server lives; it has a number of its own.

        Raises:
            StoreUnavailable: the database failed.
        """
        if self.is_sqlite:
            assert self.folder is not None
            with failing_as_unavailable():
                return FileLiveness(self.folder / "servers")
        return PostgresLiveness(self.engine)

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: committed when it returns, rolled back when it raises.

        Raises:
            StoreUnavailable: the database failed; nothing was changed, unless it failed while committing.
        """
        with failing_as_unavailable(), self._writing.begin() as connection:
            failpoint("store.write")
            result = work(connection)
            failpoint("store.commit")
            return result

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads; writers do not wait for it, nor it for them.

        Raises:
            StoreUnavailable: the database failed.
        """
        with failing_as_unavailable(), self.engine.begin() as connection:
            failpoint("store.read")
            return work(connection)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """`transaction` on a thread; the event loop is not held."""
        return await asyncio.to_thread(self.transaction, work)

    async def run_read(self, work: Callable[[Connection], T]) -> T:
        """`read` on a thread; the event loop is not held."""
        return await asyncio.to_thread(self.read, work)

    async def run_report(self, work: Callable[[Connection], T]) -> T:
        """`read` that may take long, on few threads of its own: neither requests nor other reads wait for it.

        Raises:
            ReportsBusy: as many as may be are being made or wait.
            StoreUnavailable: the database failed.
        """
        if self._reports_asked >= MOST_REPORTS:
            message = f"{MOST_REPORTS} reports are being made or wait, which is the limit; send it again in a moment."
            raise ReportsBusy(message, retry_after_s=1)
        self._reports_asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reports, self.read, work)
        finally:
            self._reports_asked -= 1

    def close(self) -> None:
        """Close every connection."""
        self._reports.shutdown(wait=False, cancel_futures=True)
        self.engine.dispose()


class _OtherVersion(Exception):
    """The tables are not those of this version and cannot be, or are not to be, made so; its words say why."""


def _version_of(connection: Connection) -> str | None:
    """The newest migration that was made here; None of an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _why_not(version: str | None) -> str:
    """Why a database of another version is not read, and what to do."""
    if version is None:
        return "has no tables of Sightline's yet; sightline serve makes them"
    if version > VERSION:
        return _NEWER
    return (
        "is of an older Sightline, and reading does not change it. Read it with the version that serves it, or start "
        "sightline serve of this one, which brings it up to date"
    )


def _durable(connection: Any, _: Any) -> None:
    """A commit is on disk when it returns, and readers do not wait for writers."""
    connection.isolation_level = None  # the driver would begin transactions of its own
    for pragma in (f"busy_timeout={_LOCK_S * 1000:.0f}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time migrate: two first starts would both make the tables."""
    with open(folder / "migration.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
