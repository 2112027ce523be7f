"""The commands' way to the service's database, whether it runs or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.terminal import fail
from sightline.errors import ConfigError, ServiceError
from sightline.settings import load_settings
from sightline.store.database import Database

Data = Annotated[Path | None, typer.Option("--data", help="The service's data folder. [~/.sightline]")]
DatabaseUrl = Annotated[
    str | None, typer.Option("--database", help="postgresql://user@host/name, where the service keeps it there.")
]


@contextmanager
def open_database(data: Path | None, url: str | None) -> Iterator[Database]:
    """Open the database for one command; what fails ends the command with a sentence."""
    try:
        folder = load_settings({"data": data}).data.expanduser()
        if not url and not (folder / "sightline.db").exists():
            fail(f"There is no database in {folder} yet: sightline serve makes one. Is it elsewhere? Give --data.")
        database = Database.open(folder, url or "")
    except ConfigError as error:
        fail(str(error))
    try:
        yield database
    except ServiceError as error:
        fail(error.message)
    finally:
        database.close()
