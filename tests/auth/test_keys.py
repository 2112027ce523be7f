"""API keys: shown once, stored as a hash, refused once revoked."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text

from sightline.auth import keys as module
from sightline.auth.keys import Keys
from sightline.core import NewKey
from sightline.errors import AuthenticationError, StoreUnavailable
from sightline.settings import Settings
from sightline.store.database import Database

pytestmark = pytest.mark.anyio


async def test_made_key_is_known_by_itself(keys: Keys) -> None:
    key, secret = keys.create(NewKey("Ada"))

    found = await keys.authenticate(f"Bearer {secret}", "inference")

    assert found == key
    assert (found.name, found.hint) == ("Ada", secret[-4:])
    assert re.fullmatch(r"sk-sl-[A-Za-z0-9]{40}", secret)


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "  Bearer   {}  ", "Bearer {}\t"])
async def test_scheme_is_read_as_http_says(keys: Keys, form: str) -> None:
    key, secret = keys.create(NewKey("Ada"))

    assert await keys.authenticate(form.format(secret), "inference") == key


@pytest.mark.parametrize("authorization", [None, "", " ", "Bearer", "Bearer ", "Basic abc", "sk-sl-abc"])
async def test_missing_key_says_how_to_send_one(keys: Keys, authorization: str | None) -> None:
    with pytest.raises(AuthenticationError, match="Authorization: Bearer"):
        await keys.authenticate(authorization, "inference")


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda secret: secret[:-1], lambda secret: secret + "x"])
async def test_key_is_looked_up_whole(keys: Keys, change: object) -> None:
    _, secret = keys.create(NewKey("Ada"))

    with pytest.raises(AuthenticationError, match="not known"):
        await keys.authenticate(f"Bearer {change(secret)}", "inference")  # type: ignore[operator]


@pytest.mark.parametrize("secret", ["x" * 100_000, "\x00", "ÿ", "' OR 1=1 --"])
async def test_strange_key_is_only_unknown(keys: Keys, secret: str) -> None:
    with pytest.raises(AuthenticationError):
        await keys.authenticate(f"Bearer {secret}", "inference")


async def test_database_holds_the_hash_and_nothing_else_of_the_key(
    keys: Keys, database: Database, settings: Settings
) -> None:
    _, secret = keys.create(NewKey("Ada"))

    row = database.transaction(lambda connection: connection.execute(text("SELECT sha256 FROM api_keys")).one())

    assert row.sha256 == hashlib.sha256(secret.encode()).digest()
    database.close()
    assert not any(secret.encode() in file.read_bytes() for file in settings.data.iterdir())


async def test_revoked_key_is_refused_by_another_process_at_once(database: Database) -> None:
    key, secret = Keys(database).create(NewKey("Ada"))

    assert Keys(database).revoke(key.id)

    with pytest.raises(AuthenticationError, match="revoked"):
        await Keys(database).authenticate(f"Bearer {secret}", "inference")


async def test_key_known_a_moment_ago_is_refused_when_the_cache_forgets(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CACHE_S", 0.0)
    key, secret = keys.create(NewKey("Ada"))
    await keys.authenticate(f"Bearer {secret}", "inference")

    keys.revoke(key.id)

    with pytest.raises(AuthenticationError):
        await keys.authenticate(f"Bearer {secret}", "inference")


async def test_key_is_not_looked_up_again_within_a_moment(keys: Keys, database: Database) -> None:
    _, secret = keys.create(NewKey("Ada"))
    first = await keys.authenticate(f"Bearer {secret}", "inference")
    database.transaction(lambda connection: connection.execute(text("DELETE FROM api_keys")))

    assert await keys.authenticate(f"Bearer {secret}", "inference") is first


async def test_requests_of_a_moment_share_one_look_up_and_one_that_leaves_does_not_end_it(
    keys: Keys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = keys.create(NewKey("Ada"))
    reads: list[int] = []
    run_read = database.run_read

    async def count_and_read(work: Callable[[Connection], Any]) -> Any:
        reads.append(1)
        return await run_read(work)

    monkeypatch.setattr(database, "run_read", count_and_read)
    asking = [asyncio.create_task(keys.authenticate(f"Bearer {secret}", "inference")) for _ in range(16)]
    await asyncio.sleep(0)
    asking[0].cancel()
    first, *others = await asyncio.gather(*asking, return_exceptions=True)

    assert isinstance(first, asyncio.CancelledError)
    assert {key.name for key in others} == {"Ada"}
    assert len(reads) == 1
    assert not keys._looking


async def test_look_up_that_fails_fails_for_all_who_wait_and_is_tried_again(
    keys: Keys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = keys.create(NewKey("Ada"))

    async def fail(_: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(database, "run_read", fail)
        asking = [keys.authenticate(f"Bearer {secret}", "inference") for _ in range(3)]
        outcomes = await asyncio.gather(*asking, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    assert (await keys.authenticate(f"Bearer {secret}", "inference")).name == "Ada"


async def test_look_up_in_a_database_that_hangs_is_refused_and_no_more_are_begun_than_may(
    keys: Keys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = keys.create(NewKey("Ada"))
    hangs, begun = asyncio.Event(), 0

    async def read(_: object) -> None:
        nonlocal begun
        begun += 1
        await hangs.wait()

    monkeypatch.setattr(database, "run_read", read)
    monkeypatch.setattr(module, "_MOST_READS", 1)

    outcomes = await asyncio.gather(
        *(keys.authenticate(f"Bearer {secret}", "inference") for _ in range(50)),
        *(keys.authenticate(f"Bearer sk-sl-another-{at}", "inference") for at in range(50)),
        return_exceptions=True,
    )

    assert {type(one) for one in outcomes} == {StoreUnavailable}
    assert begun == 1
    hangs.set()


async def test_cache_does_not_grow_without_bound(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHE_ENTRIES", 2)
    secrets = [keys.create(NewKey(str(at)))[1] for at in range(5)]

    for secret in secrets:
        await keys.authenticate(f"Bearer {secret}", "inference")

    assert len(keys._cache) <= 2


def test_list_has_every_key_oldest_first_in_utc(keys: Keys) -> None:
    before = datetime.now(UTC)
    made = [keys.create(NewKey(name))[0] for name in ("first", "second")]
    keys.revoke(made[0].id)

    first, second = keys.all()

    assert [first.name, second.name] == ["first", "second"]
    assert second == made[1]
    assert before <= first.created_at <= datetime.now(UTC)
    assert first.revoked_at is not None
    assert first.revoked_at >= first.created_at


def test_revoking_twice_or_nothing_says_no(keys: Keys) -> None:
    key, _ = keys.create(NewKey("Ada"))

    assert [keys.revoke(key.id), keys.revoke(key.id), keys.revoke("key_none")] == [True, False, False]
