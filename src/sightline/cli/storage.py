"""The commands' way to the service's database, whether it runs or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.terminal import err, fail
from sightline.errors import ConfigError, StoreUnavailable
from sightline.log import silence
from sightline.settings import merge_settings, read_file
from sightline.store.database import Database

Data = Annotated[Path | None, typer.Option("--data", help="The service's data folder. [~/.sightline]")]
Config = Annotated[
    Path | None, typer.Option("--config", help="The service's settings file, if that says where its database is.")
]

_STORE = ("data", "database")


@contextmanager
def open_database(
    data: Path | None, url: str | None, config: Path | None, *, writes: bool = False, make: bool = False
) -> Iterator[Database]:
    """Open the database that the service would use, for one command; what fails ends that with a sentence.

    One of an older version is brought up to date only for a command that `writes`, and one that is not there is made
    only where `make` says so: a mistyped folder is not an empty ledger.
    """
    silence()  # what failed is said here, and standard output is the answer's
    database = _find(data, url, config, migrate=writes, make=make)
    try:
        yield database
    except StoreUnavailable as error:
        reason = str(getattr(error.__cause__, "orig", error.__cause__)).partition("\n")[0]
        fail(f"The database cannot be used at this moment: {reason}")
    except UnicodeEncodeError as error:
        fail(f"{error.object} is not UTF-8, as every name and id here is; check the encoding of this terminal.")
    finally:
        database.close()


def _find(data: Path | None, url: str | None, config: Path | None, *, migrate: bool, make: bool) -> Database:
    try:
        # No more than these: the rest may want keys of upstreams that the service's environment alone has.
        told = {name: value for name, value in read_file(config).items() if name in _STORE}
        settings = merge_settings(told, {"data": data, "database": url})
        folder = settings.data.expanduser()
        is_there = settings.database_url or folder.is_file() or (folder / "sightline.db").exists()
        if not (is_there or make):
            fail(
                f"There is no database in {folder} yet: sightline serve makes one. "
                "Is it elsewhere? Give --data, or the service's --config."
            )
        database = Database.open(folder, settings.database_url, migrate=migrate)
    except ConfigError as error:
        fail(str(error))
    except OSError as error:
        fail(f"The data folder {folder} cannot be used: {error.strerror}.")
    if database.was_empty:
        place = "this Postgres" if settings.database_url else folder
        err.print(f"There was no database in {place}: a new one was made. Is the service's elsewhere?", markup=False)
    return database
