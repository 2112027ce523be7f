"""The commands' way to the service's database, whether it runs or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.terminal import fail
from sightline.errors import ConfigError, ServiceError
from sightline.settings import merge_settings, read_file
from sightline.store.database import Database

Data = Annotated[Path | None, typer.Option("--data", help="The service's data folder. [~/.sightline]")]
Config = Annotated[
    Path | None, typer.Option("--config", help="The service's settings file, if that says where its database is.")
]

_STORE = ("data", "database")


def find_database(data: Path | None, url: str | None, config: Path | None, *, make: bool = False) -> Database:
    """Open the database that the service would use; what fails ends the command with a sentence.

    One that is not there is made only where `make` says so: a mistyped folder is not an empty ledger.
    """
    try:
        # No more than these: the rest may want keys of upstreams that the service's environment alone has.
        told = {name: value for name, value in read_file(config).items() if name in _STORE} if config else {}
        settings = merge_settings(told, {"data": data, "database": url})
        folder = settings.data.expanduser()
        is_there = settings.database_url or folder.is_file() or (folder / "sightline.db").exists()
        if not (is_there or make):
            fail(
                f"There is no database in {folder} yet: sightline serve makes one. "
                "Is it elsewhere? Give --data, or the service's --config."
            )
        return Database.open(folder, settings.database_url)
    except ConfigError as error:
        fail(str(error))
    except OSError as error:
        fail(f"The data folder {folder} cannot be used: {error.strerror}.")


@contextmanager
def open_database(data: Path | None, url: str | None, config: Path | None) -> Iterator[Database]:
    """`find_database` for the length of one command."""
    database = find_database(data, url, config)
    try:
        yield database
    except ServiceError as error:
        fail(error.message)
    finally:
        database.close()
