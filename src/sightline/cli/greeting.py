"""What `sightline serve` says when it takes requests: where, and on a first start with which key and how to ask."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from shutil import which

from sightline.auth.keys import Keys
from sightline.cli.terminal import BASE_URL, err
from sightline.core import PERMISSIONS, NewKey
from sightline.errors import ConfigError, ServiceError
from sightline.server.uvicorn_server import url_of
from sightline.settings import TRANSCRIBER, Settings, engine_specs
from sightline.store.database import Database

_CURL = """  echo '{"model": "%s", "messages": [{"role": "user", "content": [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,'"$(base64 < photo.png | tr -d '\\n')"'"}},
    {"type": "text", "text": "What does it say?"}]}]}' |
  curl %s/v1/chat/completions -H "Authorization: Bearer $INFERENCE_API_KEY" \\
    -H "Content-Type: application/json" -d @-
"""


def open_database(settings: Settings) -> Database:
    """Open the database that the settings name.

    Raises:
        ConfigError: it cannot be used.
    """
    return Database.open(settings.data.expanduser(), settings.database_url)


def greet_first(settings: Settings, port: int) -> None:
    """Say where requests are taken, and on a first start with which key.

    It is made only now that it can be shown: a start that fails must not use it up. A database that fails just now ends
    nothing that runs.
    """
    try:
        secret = _first_key(settings)
    except (ConfigError, ServiceError) as error:
        secret = None
        message = error.message if isinstance(error, ServiceError) else str(error)
        err.print(f"\nWhether there is an API key yet is not known: {message}", markup=False)
    url = url_of(settings.server.host, port)
    err.print(f"\n[bold green]Ready[/bold green] on {url}/v1")
    if secret is not None:
        _show(settings, url, secret)


def _first_key(settings: Settings) -> str | None:
    database = open_database(settings)
    try:
        keys = Keys(database)
        return None if keys.all() else keys.create_first(NewKey("first", permissions=PERMISSIONS))
    finally:
        database.close()


def _show(settings: Settings, url: str, secret: str) -> None:
    command = _command()
    err.print(f"\nYour API key, shown this once (later: {command} keys create NAME{_where(settings)}):\n", markup=False)
    err.print(f"  export INFERENCE_API_KEY={secret}", markup=False)
    if f"{url}/v1" != BASE_URL:
        err.print(f"  export SIGHTLINE_BASE_URL={url}/v1", markup=False)
    model = _model(settings)
    if not model:
        err.print(f"\nIts models: {command} models", markup=False)
    err.print("\nAsk about a picture of yours:\n")
    err.print(f'  {command} ask photo.png "What is in this image?"', markup=False)
    err.print("\nor with cURL:\n")
    err.print(_CURL % (model or "MODEL", url), markup=False)


def _command() -> str:
    """How a person calls the commands here: `make` installs into a folder that no PATH has."""
    own, here = Path(sys.executable).with_name("sightline"), Path.cwd()
    if which("sightline") or not own.is_file():
        return "sightline"
    return str(own.relative_to(here) if own.is_relative_to(here) else own)


def _where(settings: Settings) -> str:
    """The flags by which another command finds the same database; the URL of a Postgres may hold a password."""
    if settings.database_url:
        return ", with the same --database, --config or SIGHTLINE_DATABASE"
    folder = settings.data.expanduser().absolute()
    return "" if settings.data == Settings().data else f" --data {shlex.quote(str(folder))}"


def _model(settings: Settings) -> str:
    """A model that answers here, as far as the settings tell; the transcriber if it runs."""
    told = [str(spec.options.get("model_id") or "") for spec in engine_specs(settings) if spec.kind != "transcribe"]
    told += [name for pool in settings.upstreams for name in pool.models]
    runs = any(spec.kind == "transcribe" for spec in engine_specs(settings))
    return TRANSCRIBER if runs else next(filter(None, told), "")
