"""API keys: made once, shown once, stored as SHA-256, looked up whole; what each may do.

Comes in: an `Authorization` header and the permission that a route needs. Goes out: the key, or a refusal. Limits are
only carried here; see `admission.limits` and `metering.ledger` for who holds a key to them.

Source: contract.md section 9.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import string
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection, Row, String, and_, cast, insert, or_, select, text, update

from sightline.core import KeyLimits, NewKey, Permission, SpendingLimit
from sightline.errors import (
    AuthenticationError,
    InvalidRequest,
    KeyNotFound,
    LastAdminKey,
    ModelNotAllowed,
    PermissionDenied,
    StoreUnavailable,
)
from sightline.ids import new_id
from sightline.store.database import Database
from sightline.store.tables import api_keys

PREFIX = "sk-sl-"
_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 40
_CACHE_S = 1.0
_LOOK_UP_S = 0.9
"""A database that hangs keeps the threads that read it for seconds, and others would wait for one of these."""
_MOST_READS = 512
"""That have not ended: those of a database that hangs are all carried out when it goes on."""
_CACHE_ENTRIES = 10_000
_UNKNOWN = (0.0, None)
_MAKE = "make one with: sightline keys create NAME"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the service knows it: everything but the key. `models` are ids or aliases; None is all."""

    id: str
    name: str
    hint: str
    created_at: datetime
    revoked_at: datetime | None
    expires_at: datetime | None
    permissions: frozenset[str]
    models: frozenset[str] | None
    limits: KeyLimits
    spending: SpendingLimit | None

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        """Whether it may be used at `now`, and if not, why."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"

    def may_use(self, names: Collection[str]) -> bool:
        """Whether it may use the model that goes by these names: its id and its aliases."""
        return self.models is None or not self.models.isdisjoint(names)


class Keys:
    """The keys of one database. A revoked key is refused within a second by every process."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.database = database
        self._clock = clock
        self._cache: dict[bytes, tuple[float, ApiKey]] = {}
        self._looking: dict[bytes, tuple[float, asyncio.Task[ApiKey | None]]] = {}
        self._reads = 0

    def create(self, new: NewKey) -> tuple[ApiKey, str]:
        """Make a key; the second value is the key itself, which nothing can show again."""
        secret = _new_secret()
        return self.database.transaction(lambda connection: self._insert(connection, new, secret)), secret

    def create_first(self, new: NewKey) -> str | None:
        """Make a key where there is none and give the key itself, else None; of several that ask at once one makes it.

        Where there are keys, it still waits for those that write.
        """
        secret = _new_secret()

        def write(connection: Connection) -> bool:
            if connection.dialect.name == "postgresql":  # SQLite lets one write at a time
                connection.execute(text("LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE"))
            is_first = connection.execute(select(api_keys.c.id).limit(1)).first() is None
            if is_first:
                self._insert(connection, new, secret)
            return is_first

        return secret if self.database.transaction(write) else None

    def _insert(self, connection: Connection, new: NewKey, secret: str) -> ApiKey:
        row = {"id": new_id("key_"), "sha256": _digest(secret), "hint": secret[-4:], "created_at": self._clock()}
        connection.execute(insert(api_keys).values({**row, **_terms(new)}))
        return _key(connection.execute(select(api_keys).where(api_keys.c.id == row["id"])).one())

    def all(self) -> list[ApiKey]:
        """Every key ever made, oldest first."""
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        return self.database.read(lambda connection: [_key(row) for row in connection.execute(query)])

    def page(self, after: str | None, limit: int) -> tuple[list[ApiKey], bool]:
        """Up to `limit` keys that were made after the key `after`, oldest first; and whether there are more.

        Raises:
            InvalidRequest: no key has the id `after`.
        """
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id).limit(limit + 1)

        def read(connection: Connection) -> list[ApiKey]:
            if after is None:
                return [_key(row) for row in connection.execute(query)]
            last = connection.execute(select(api_keys.c.created_at).where(api_keys.c.id == after)).scalar()
            if last is None:
                message = "after is the id of no key; leave it out to begin with the oldest."
                raise InvalidRequest(message, param="after", code="invalid_value")
            later = api_keys.c.created_at > last
            same = and_(api_keys.c.created_at == last, api_keys.c.id > after)
            return [_key(row) for row in connection.execute(query.where(or_(later, same)))]

        found = self.database.read(read)
        return found[:limit], len(found) > limit

    def find(self, key_id: str) -> ApiKey:
        """The key with this id, revoked or not.

        Raises:
            KeyNotFound: there is none.
        """
        query = select(api_keys).where(api_keys.c.id == key_id)
        row = self.database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise KeyNotFound("No API key has this id; list them with GET /v1/admin/keys.", param="id")
        return _key(row)

    def revoke(self, key_id: str, *, keep_an_admin: bool = False) -> bool:
        """Refuse a key from now on; False when no key that has not been revoked has this id.

        Raises:
            LastAdminKey: with `keep_an_admin`, when no other valid key may manage keys; nothing was changed.
        """
        now = self._clock()
        query = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=now)

        def write(connection: Connection) -> bool:
            if keep_an_admin:
                _keep_an_admin(connection, key_id, now)
            return connection.execute(query).rowcount == 1

        is_revoked = self.database.transaction(write)
        for digest, (_, key) in list(self._cache.items()):
            if key.id == key_id:
                self._cache.pop(digest, None)
        return is_revoked

    async def authenticate(self, authorization: str | None, permission: Permission) -> ApiKey:
        """Find the key of an `Authorization` header, which must have `permission`.

        Only who sends a whole key is told that it was revoked or has expired.

        Raises:
            AuthenticationError: no key, not a bearer key, unknown, revoked or expired.
            PermissionDenied: the key is valid and lacks the permission.
            StoreUnavailable: the database failed, and the key was not known a moment ago.
        """
        scheme, _, secret = (authorization or "").strip(" \t").partition(" ")
        secret = secret.strip(" \t")
        if not secret or scheme.lower() != "bearer":
            raise AuthenticationError(
                f"No API key was sent. Send it as the header Authorization: Bearer {PREFIX}…; {_MAKE}"
            )
        digest = _digest(secret)
        until, known = self._cache.get(digest, _UNKNOWN)
        key = known if known is not None and until > time.monotonic() else await self._look_up(digest)
        _check(key, permission, self._clock())
        return key

    async def _look_up(self, digest: bytes) -> ApiKey:
        now = time.monotonic()
        # A busy key's requests all find its second over together: one of them reads, the others wait for that.
        until, looking = self._looking.get(digest, (0.0, None))
        if looking is None or until <= now:
            if self._reads >= _MOST_READS:
                raise StoreUnavailable
            # Counted from before it is read: what is revoked while we read is refused a second later, too.
            self._reads += 1
            looking = asyncio.create_task(self._read(digest, now + _CACHE_S))
            self._looking[digest] = (now + _CACHE_S, looking)
            looking.add_done_callback(partial(self._forget_reading, digest))
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                key = await asyncio.shield(looking)  # who leaves takes nothing from those that wait beside
        except TimeoutError as error:
            raise StoreUnavailable from error
        if key is None:
            raise AuthenticationError(f"The API key is not known here. Check that all of it was sent, or {_MAKE}")
        return key

    async def _read(self, digest: bytes, until: float) -> ApiKey | None:
        key = await self.database.run_read(lambda connection: _find(connection, digest))
        if key is not None:  # else not remembered: strangers could fill the memory
            if len(self._cache) >= _CACHE_ENTRIES:
                self._cache.clear()
            self._cache[digest] = (until, key)
        return key

    def _forget_reading(self, digest: bytes, done: asyncio.Task[ApiKey | None]) -> None:
        self._reads -= 1
        if self._looking.get(digest, (0.0, None))[1] is done:
            del self._looking[digest]
        if not done.cancelled():
            done.exception()  # seen by those who wait, if any still do


def check_model(key: ApiKey, model_id: str, names: Collection[str] = ()) -> None:
    """Refuse a model that the key is not for. `names` are the other ids of the model.

    It does not tell whether there is such a model.

    Raises:
        ModelNotAllowed: neither `model_id` nor one of `names` is among the key's models.
    """
    if not key.may_use({model_id, *names}):
        allowed = ", ".join(sorted(key.models or ())[:10])
        raise ModelNotAllowed(
            f"This API key may not use {model_id[:100]!r}. It is for {allowed}; "
            "use one of these, or ask for a key for the other.",
            param="model",
        )


def _check(key: ApiKey, permission: Permission, now: datetime) -> None:
    match key.state(now):
        case "revoked":
            raise AuthenticationError(f"This API key was revoked on {key.revoked_at:%Y-%m-%d %H:%M} UTC; {_MAKE}")
        case "expired":
            raise AuthenticationError(f"This API key expired on {key.expires_at:%Y-%m-%d %H:%M} UTC; {_MAKE}")
    if permission not in key.permissions:
        has = " and ".join(sorted(key.permissions)) or "none"
        both = " ".join(f"--permission {one}" for one in sorted({*key.permissions, permission}))
        raise PermissionDenied(
            f"This needs a key with the permission {permission}; yours has {has}. "
            f"Make one that has both with: sightline keys create NAME {both}"
        )


def _keep_an_admin(connection: Connection, key_id: str, now: datetime) -> None:
    """Refuse to revoke the only valid key that may manage keys; its rows are locked until the transaction ends."""
    query = (
        select(api_keys)
        .where(api_keys.c.revoked_at.is_(None), cast(api_keys.c.permissions, String).contains('"admin"'))
        .order_by(api_keys.c.id)
        .with_for_update()
    )
    admins = [key for key in map(_key, connection.execute(query)) if "admin" in key.permissions]
    if {key.id for key in admins if key.state(now) == "valid"} == {key_id}:
        raise LastAdminKey(
            "This is the last valid key with the permission admin; without it nobody could manage keys here. "
            "Make another one first, or revoke it with: sightline keys revoke ID",
            param="id",
        )


def _new_secret() -> str:
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _find(connection: Connection, digest: bytes) -> ApiKey | None:
    row = connection.execute(select(api_keys).where(api_keys.c.sha256 == digest)).one_or_none()
    if row is None or not hmac.compare_digest(bytes(row.sha256), digest):
        return None
    return _key(row)


def _terms(new: NewKey) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": new.name,
        "expires_at": new.expires_at,
        "permissions": sorted(new.permissions),
        "requests_per_min": new.limits.requests_per_min,
        "tokens_per_min": new.limits.tokens_per_min,
        "max_in_flight": new.limits.max_in_flight,
        "spend_limit_nanos": new.spending.nanos if new.spending else None,
        "spend_period": new.spending.period if new.spending else "total",
    }
    # A None here would be the JSON `null`, not a NULL.
    return row if new.models is None else {**row, "models": sorted(new.models)}


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        hint=row.hint,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        expires_at=row.expires_at,
        permissions=frozenset(row.permissions),
        models=None if row.models is None else frozenset(row.models),
        limits=KeyLimits(row.requests_per_min, row.tokens_per_min, row.max_in_flight),
        spending=None if row.spend_limit_nanos is None else SpendingLimit(row.spend_limit_nanos, row.spend_period),
    )
