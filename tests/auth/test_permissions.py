"""What a key may do and until when, over both databases; what holds when the database does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from sightline import failpoints
from sightline.auth import keys as module
from sightline.auth.keys import Keys, check_model
from sightline.core import PERMISSIONS, KeyLimits, NewKey, SpendingLimit
from sightline.errors import (
    AuthenticationError,
    InvalidRequest,
    KeyNotFound,
    LastAdminKey,
    ModelNotAllowed,
    PermissionDenied,
    StoreUnavailable,
)
from sightline.metering.quota import Spent, period_of, spent_by
from sightline.store.database import Database

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def any_keys(any_database: Database, clock: Clock) -> Keys:
    return Keys(any_database, clock)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


async def test_terms_of_a_key_come_back_as_they_were_given(any_keys: Keys, any_database: Database) -> None:
    new = NewKey(
        "Ada",
        expires_at=NOON + timedelta(days=30),
        permissions=frozenset({"inference", "admin"}),
        models=frozenset({"sightline/scripted", "gpt-4o"}),
        limits=KeyLimits(60, 100_000, 4),
        spending=SpendingLimit(5_000_000_000, "month"),
    )

    key, secret = any_keys.create(new)

    assert await Keys(any_database, lambda: NOON).authenticate(f"Bearer {secret}", "admin") == key
    for name in ("name", "expires_at", "permissions", "models", "limits", "spending"):
        assert getattr(key, name) == getattr(new, name)


async def test_new_key_may_infer_and_read_usage_without_limits(any_keys: Keys) -> None:
    key, _ = any_keys.create(NewKey("Ada"))

    assert key.permissions == {"inference", "usage"}
    assert (key.models, key.expires_at, key.spending, key.limits) == (None, None, None, KeyLimits())


def test_absent_models_are_null_in_the_database(any_keys: Keys, any_database: Database) -> None:
    any_keys.create(NewKey("Ada"))

    null = text("SELECT count(*) FROM api_keys WHERE models IS NULL AND spend_limit_nanos IS NULL")
    assert any_database.read(lambda connection: connection.execute(null).scalar()) == 1


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
async def test_no_permission_implies_another(keys: Keys, permission: str) -> None:
    _, secret = keys.create(NewKey("Ada", permissions=frozenset({permission})))  # type: ignore[arg-type]

    await keys.authenticate(f"Bearer {secret}", permission)  # type: ignore[arg-type]
    for other in PERMISSIONS - {permission}:
        with pytest.raises(PermissionDenied, match=f"permission {other}; yours has {permission}"):
            await keys.authenticate(f"Bearer {secret}", other)


async def test_expired_key_is_refused_at_the_second_though_known_a_moment_ago(any_keys: Keys, clock: Clock) -> None:
    _, secret = any_keys.create(NewKey("Ada", expires_at=NOON + timedelta(seconds=10)))
    clock.now = NOON + timedelta(seconds=9.999)
    await any_keys.authenticate(f"Bearer {secret}", "inference")

    clock.now = NOON + timedelta(seconds=10)

    with pytest.raises(AuthenticationError, match="expired on 2026-11-21 12:00 UTC"):
        await any_keys.authenticate(f"Bearer {secret}", "inference")


async def test_only_a_whole_key_is_told_that_it_was_revoked(any_keys: Keys) -> None:
    key, secret = any_keys.create(NewKey("Ada"))
    any_keys.revoke(key.id)

    with pytest.raises(AuthenticationError, match="was revoked on 2026-11-21 12:00 UTC"):
        await any_keys.authenticate(f"Bearer {secret}", "inference")
    for other in (secret[:-1], secret + "x", secret.swapcase()):
        with pytest.raises(AuthenticationError) as caught:
            await any_keys.authenticate(f"Bearer {other}", "inference")
        assert "revoked" not in caught.value.message


async def test_revoking_process_refuses_at_once(any_keys: Keys) -> None:
    key, secret = any_keys.create(NewKey("Ada"))
    await any_keys.authenticate(f"Bearer {secret}", "inference")

    any_keys.revoke(key.id)

    with pytest.raises(AuthenticationError):
        await any_keys.authenticate(f"Bearer {secret}", "inference")


async def test_moment_counts_from_before_the_key_was_read(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is revoked while a slow database reads it must not be good for longer."""
    _, secret = keys.create(NewKey("Ada"))
    times = iter([10.0, 10.9, 11.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times, 11.0))

    await keys.authenticate(f"Bearer {secret}", "inference")

    [(until, _)] = keys._cache.values()
    assert until == 11.0


async def test_unknown_keys_are_not_remembered(keys: Keys) -> None:
    for at in range(50):
        with pytest.raises(AuthenticationError):
            await keys.authenticate(f"Bearer sk-sl-{at}", "inference")

    assert keys._cache == {}


async def test_failing_database_is_503_and_never_401(any_keys: Keys) -> None:
    _, secret = any_keys.create(NewKey("Ada"))
    failpoints.arm("store.read=error")

    for sent in (secret, "sk-sl-unknown"):
        with pytest.raises(StoreUnavailable):
            await any_keys.authenticate(f"Bearer {sent}", "inference")


async def test_key_known_a_moment_ago_outlives_the_database_for_that_moment_only(
    any_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = any_keys.create(NewKey("Ada"))
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    await any_keys.authenticate(f"Bearer {secret}", "inference")
    failpoints.arm("store.read=error store.write=error")

    now = 100.999
    assert await any_keys.authenticate(f"Bearer {secret}", "inference") == key
    now = 101.0
    with pytest.raises(StoreUnavailable):
        await any_keys.authenticate(f"Bearer {secret}", "inference")


@pytest.mark.parametrize("asked", ["sightline/scripted", "gpt-4o"])
def test_model_is_allowed_by_any_of_its_names(keys: Keys, asked: str) -> None:
    names = {"sightline/scripted", "gpt-4o"}

    for allowed in names:
        key, _ = keys.create(NewKey("Ada", models=frozenset({allowed})))
        check_model(key, asked, names)
    check_model(keys.create(NewKey("Ada"))[0], asked)


def test_other_model_is_refused_and_named(keys: Keys) -> None:
    key, _ = keys.create(NewKey("Ada", models=frozenset({"a", "b"})))

    with pytest.raises(ModelNotAllowed, match=r"may not use 'c'\. It is for a, b;") as caught:
        check_model(key, "c", {"d"})

    assert (caught.value.status, caught.value.param, caught.value.code) == (403, "model", "model_not_allowed")


def test_pages_have_every_key_once_also_when_made_at_the_same_time(any_keys: Keys, clock: Clock) -> None:
    for _ in range(3):
        for _ in range(3):
            any_keys.create(NewKey("Ada"))
        clock.now += timedelta(microseconds=1)

    pages, after, more = [], None, True
    while more:
        page, more = any_keys.page(after, 2)
        pages.append([key.id for key in page])
        after = page[-1].id

    assert [len(page) for page in pages] == [2, 2, 2, 2, 1]
    assert [key_id for page in pages for key_id in page] == [key.id for key in any_keys.all()]


def test_page_after_nothing_known_is_refused(any_keys: Keys) -> None:
    with pytest.raises(InvalidRequest, match="after"):
        any_keys.page("key_none", 2)


def test_key_is_found_by_its_id_also_when_revoked(any_keys: Keys) -> None:
    key, _ = any_keys.create(NewKey("Ada"))
    any_keys.revoke(key.id)

    assert any_keys.find(key.id).revoked_at == NOON
    with pytest.raises(KeyNotFound):
        any_keys.find("key_none")


def test_last_admin_key_stays(any_keys: Keys) -> None:
    admin = frozenset({"admin"})
    last, _ = any_keys.create(NewKey("last", permissions=admin))
    gone, _ = any_keys.create(NewKey("gone", permissions=admin))
    any_keys.create(NewKey("expired", permissions=admin, expires_at=NOON))
    other, _ = any_keys.create(NewKey("other"))

    assert any_keys.revoke(gone.id, keep_an_admin=True)
    assert any_keys.revoke(other.id, keep_an_admin=True)
    with pytest.raises(LastAdminKey):
        any_keys.revoke(last.id, keep_an_admin=True)

    assert any_keys.find(last.id).state(NOON) == "valid"
    assert any_keys.revoke(last.id), "who has the machine may revoke any key"


def test_two_last_admins_cannot_revoke_each_other(any_keys: Keys) -> None:
    """Each is allowed alone; at the same time one must find that it is the last."""
    admins = [any_keys.create(NewKey(name, permissions=frozenset({"admin"})))[0] for name in ("a", "b")]

    def revoke(key_id: str) -> bool:
        try:
            return any_keys.revoke(key_id, keep_an_admin=True)
        except LastAdminKey:
            return False

    with ThreadPoolExecutor(2) as pool:
        revoked = list(pool.map(revoke, [key.id for key in admins]))

    assert sorted(revoked) == [False, True]
    assert sorted(key.state(NOON) for key in any_keys.all()) == ["revoked", "valid"]


def test_what_is_spent_is_that_of_the_limits_own_period(any_database: Database) -> None:
    limits = {name: SpendingLimit(10, name) for name in ("day", "month", "total")}  # type: ignore[arg-type]
    rows = [
        *({"k": kind, "p": period_of(kind, NOON), "r": 1, "s": 2} for kind in ("day", "month")),  # type: ignore[arg-type]
        {"k": "day", "p": period_of("day", NOON - timedelta(days=1)), "r": 0, "s": 100},
        {"k": "month", "p": "total", "r": 0, "s": 100},
        {"k": "stranger", "p": "total", "r": 0, "s": 100},
    ]
    write = text("INSERT INTO key_spend (key_id, period, reserved_nanos, settled_nanos) VALUES (:k, :p, :r, :s)")
    any_database.transaction(lambda connection: connection.execute(write, rows))

    spent = any_database.read(lambda connection: spent_by(connection, limits, NOON))

    assert spent == {"day": Spent(2, 1), "month": Spent(2, 1), "total": Spent()}
