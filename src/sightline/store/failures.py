"""What a database that fails raises, turned into the one error that the service answers with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from sightline.errors import StoreUnavailable
from sightline.log import get_logger

FAILURES = (DBAPIError, sqlite3.Error, OSError)
"""What a database that cannot be reached, written or waited for raises."""

log = get_logger(__name__)


@contextmanager
def failing_as_unavailable() -> Iterator[None]:
    """Translate; the log gets the driver's words, without SQLAlchemy's: those carry the statement and its values."""
    try:
        yield
    except FAILURES as error:
        log.error("store_failed", error=type(error).__name__, reason=str(getattr(error, "orig", error))[:200])
        raise StoreUnavailable() from error
