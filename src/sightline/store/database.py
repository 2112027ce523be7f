"""Opens the database, brings its tables up to date, runs transactions off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DatabaseError

from sightline.errors import ConfigError

T = TypeVar("T")


class Database:
    """A database that is migrated to this version. Every member may be called from any thread."""

    def __init__(self, url: str | URL) -> None:
        self._engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _durable)
        with self._engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @classmethod
    def in_folder(cls, folder: Path) -> Database:
        """Open `sightline.db` in `folder`, readable by its owner alone; both are made when absent.

        Raises:
            ConfigError: the folder cannot be used, or what is in it is no database of this version or before.
        """
        path = folder / "sightline.db"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            return cls(URL.create("sqlite", database=str(path)))
        except OSError as error:
            raise ConfigError(f"The data folder {folder} cannot be used: {error.strerror}.") from error
        except DatabaseError as error:
            raise ConfigError(f"The database {path} cannot be used: {error.orig}.") from error
        except CommandError as error:
            raise ConfigError(f"The database {path} was made by a newer Sightline; upgrade this one.") from error

    def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: committed when it returns, rolled back when it raises."""
        with self._engine.begin() as connection:
            return work(connection)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction on a thread; the event loop is not held."""
        return await asyncio.to_thread(self.transaction, work)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _durable(connection: Any, _: Any) -> None:
    """A commit is on disk when it returns, and readers do not wait for writers."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
