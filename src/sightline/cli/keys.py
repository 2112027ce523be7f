"""`sightline keys`: make, list and revoke API keys in the service's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sightline.admission.keys import Keys
from sightline.cli.terminal import err, fail, out
from sightline.core import NewKey
from sightline.errors import ConfigError
from sightline.settings import load_settings
from sightline.store.database import Database

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
Data = Annotated[Path | None, typer.Option("--data", help="The service's data folder. [~/.sightline]")]


@contextmanager
def _keys(data: Path | None) -> Iterator[Keys]:
    try:
        settings = load_settings({"data": data})
        database = Database.in_folder(settings.data.expanduser())
    except ConfigError as error:
        fail(str(error))
    try:
        yield Keys(database)
    finally:
        database.close()


@app.command()
def create(name: Annotated[str, typer.Argument(help="Whose key it is.")], data: Data = None) -> None:
    """Make a key and print it, once; only its hash is stored."""
    with _keys(data) as keys:
        key, secret = keys.create(NewKey(name))
    err.print(f"{key.id} for {key.name}; the key is shown this once:", markup=False)
    out.print(secret, markup=False)


@app.command("list")
def list_(data: Data = None) -> None:
    """List all keys: who, when, whether revoked. The keys themselves cannot be shown."""
    with _keys(data) as keys:
        rows = keys.all()
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "ends in", "created", "state"):
        table.add_column(column, no_wrap=True)
    for key in rows:
        state = "valid" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
        table.add_row(key.id, key.name, f"…{key.hint}", f"{key.created_at:%Y-%m-%d %H:%M}", state)
    out.print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The id, from: sightline keys list")], data: Data = None) -> None:
    """Refuse a key from now on; a running service notices within a second."""
    with _keys(data) as keys:
        if not keys.revoke(key_id):
            fail(f"No valid key has the id {key_id}. See: sightline keys list")
    err.print(f"{key_id} is revoked.", markup=False)
