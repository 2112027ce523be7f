"""API keys: made once, shown once, stored as SHA-256, looked up whole.

Source: contract.md section 9.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, insert, select, update

from sightline.errors import AuthenticationError
from sightline.ids import new_id
from sightline.store.database import Database
from sightline.store.tables import api_keys

PREFIX = "sk-sl-"
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 40
_CACHE_S = 1.0
_CACHE_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the service knows it: everything but the key."""

    id: str
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None = None


class Keys:
    """The keys of one database. A revoked key is refused within a second by every process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[bytes, tuple[float, ApiKey]] = {}

    def create(self, name: str) -> tuple[ApiKey, str]:
        """Make a key; the second value is the key itself, which nothing can show again."""
        secret = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        key = ApiKey(new_id("key_"), name, secret[-4:], datetime.now(UTC))
        values = {
            "id": key.id,
            "name": name,
            "hint": key.hint,
            "sha256": _digest(secret),
            "created_at": key.created_at,
        }
        self._database.transaction(lambda connection: connection.execute(insert(api_keys).values(values)))
        return key, secret

    def all(self) -> list[ApiKey]:
        """Every key ever made, oldest first."""
        query = select(api_keys).order_by(api_keys.c.created_at)
        return self._database.transaction(lambda connection: [_key(row) for row in connection.execute(query)])

    def revoke(self, key_id: str) -> bool:
        """Refuse a key from now on; False when no valid key has this id."""
        query = (
            update(api_keys)
            .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=datetime.now(UTC))
        )
        return self._database.transaction(lambda connection: connection.execute(query).rowcount == 1)

    async def authenticate(self, authorization: str | None) -> ApiKey:
        """Find the key of an `Authorization` header.

        Raises:
            AuthenticationError: no key, not a bearer key, unknown, or revoked.
        """
        scheme, _, secret = (authorization or "").strip().partition(" ")
        secret = secret.strip()
        if not secret or scheme.lower() != "bearer":
            raise AuthenticationError(
                "No API key was sent. Send it as the header Authorization: Bearer sk-sl-…; "
                "make one with: sightline keys create NAME"
            )
        digest = _digest(secret)
        cached = self._cache.get(digest)
        if cached is not None and cached[0] > time.monotonic():
            return cached[1]
        key = await self._database.run(lambda connection: _find(connection, digest))
        if key is None or key.revoked_at is not None:
            raise AuthenticationError("The API key is not known here or was revoked. See: sightline keys list")
        if len(self._cache) >= _CACHE_ENTRIES:
            self._cache.clear()
        self._cache[digest] = (time.monotonic() + _CACHE_S, key)
        return key


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _find(connection: Connection, digest: bytes) -> ApiKey | None:
    row = connection.execute(select(api_keys).where(api_keys.c.sha256 == digest)).one_or_none()
    if row is None or not hmac.compare_digest(row.sha256, digest):
        return None
    return _key(row)


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(row.id, row.name, row.hint, row.created_at, row.revoked_at)
