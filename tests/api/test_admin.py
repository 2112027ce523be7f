"""`/v1/admin/keys`: made once shown once, pages, spent, revoked, never the last; browsers of other hosts kept out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert
from starlette.applications import Starlette
from structlog.testing import capture_logs

from sightline import failpoints
from sightline.auth.keys import Keys
from sightline.core import PERMISSIONS, NewKey
from sightline.metering.quota import period_of
from sightline.store.database import Database
from sightline.store.tables import key_spend
from support.failures import assert_error

pytestmark = pytest.mark.anyio
KEYS = "/v1/admin/keys"
PLAIN = {
    "object": "api_key",
    "name": "Ada",
    "state": "valid",
    "expires_at": None,
    "revoked_at": None,
    "permissions": ["inference", "usage"],
    "models": None,
    "requests_per_min": None,
    "tokens_per_min": None,
    "max_in_flight": None,
    "spend_limit": None,
    "spend_period": None,
    "spent": None,
    "reserved": None,
}


@pytest.fixture
async def admin(app: Starlette, make_key: Callable[..., str]) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with a key that may manage keys and nothing else."""
    headers = {"authorization": f"Bearer {make_key('admin', permissions=frozenset({'admin'}))}"}
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sightline.test", headers=headers) as client:
        yield client


async def own_id(admin: httpx2.AsyncClient) -> str:
    [key] = [key for key in (await admin.get(KEYS)).json()["data"] if key["name"] == "admin"]
    return str(key["id"])


async def test_made_key_is_shown_once_and_works(admin: httpx2.AsyncClient) -> None:
    response = await admin.post(KEYS, json={"name": "Ada"})

    made = response.json()
    secret = made.pop("value")
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert {name: made[name] for name in PLAIN} == PLAIN
    assert set(made) - set(PLAIN) == {"id", "redacted_value", "created_at"}
    assert made["redacted_value"] == f"sk-sl-…{secret[-4:]}"
    assert abs(made["created_at"] - datetime.now(UTC).timestamp()) < 60
    assert (await admin.get("/v1/models", headers={"authorization": f"Bearer {secret}"})).status_code == 200
    read, listed = await admin.get(f"{KEYS}/{made['id']}"), await admin.get(KEYS)
    assert read.json() == made == listed.json()["data"][-1]
    assert secret not in read.text + listed.text


async def test_terms_and_what_is_spent_are_shown(admin: httpx2.AsyncClient, database: Database) -> None:
    terms = {
        "expires_at": 4_000_000_000,
        "permissions": ["admin", "usage"],
        "models": ["gpt-4o"],
        "requests_per_min": 60,
        "tokens_per_min": 9000,
        "max_in_flight": 4,
        "spend_limit": "5.00",
        "spend_period": "day",
    }
    made = (await admin.post(KEYS, json={"name": "Ada", **terms})).json()
    assert {name: made[name] for name in terms} == {**terms, "spend_limit": "5"}
    assert (made["spent"], made["reserved"]) == ("0", "0")

    period = period_of("day", datetime.now(UTC))
    row = {"key_id": made["id"], "period": period, "reserved_nanos": 1, "settled_nanos": 250_000_000}
    database.transaction(lambda connection: connection.execute(insert(key_spend).values(row)))

    shown = (await admin.get(f"{KEYS}/{made['id']}")).json()
    assert (shown["spent"], shown["reserved"]) == ("0.25", "0.000000001")


@pytest.mark.parametrize(
    ("body", "code", "params"),
    [
        (b"", "invalid_json", [None]),
        (b"[]", "invalid_type", [None]),
        ({}, "missing_required_parameter", ["name"]),
        ({"name": "Ada", "banana": 1}, "unknown_parameter", ["banana"]),
        ({"name": "", "max_in_flight": 0}, "invalid_value", ["name", "max_in_flight"]),
    ],
)
async def test_body_that_cannot_be_makes_no_key(
    admin: httpx2.AsyncClient, keys: Keys, body: Any, code: str, params: list[str | None]
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)

    response = await admin.post(KEYS, content=content, headers={"content-type": "application/json"})

    error = assert_error(response, 400, code, params[0])
    if params != [None]:
        assert [detail["param"] for detail in error["details"]] == params
    assert [key.name for key in keys.all()] == ["admin"]


async def test_long_body_is_413_and_says_what_to_do(admin: httpx2.AsyncClient) -> None:
    error = assert_error(await admin.post(KEYS, content=b" " * 65_536), 413, "request_too_large")

    assert "65,536" in error["message"]
    assert "models" in error["message"]


async def test_form_of_a_browser_is_415(admin: httpx2.AsyncClient) -> None:
    response = await admin.post(KEYS, data={"name": "Ada"})

    assert_error(response, 415, "unsupported_media_type")


async def test_pages_follow_each_other(admin: httpx2.AsyncClient, keys: Keys) -> None:
    made = [(await own_id(admin)), *(keys.create(NewKey(str(at)))[0].id for at in range(4))]

    first = (await admin.get(KEYS, params={"limit": 2})).json()
    second = (await admin.get(KEYS, params={"limit": 3, "after": first["last_id"]})).json()

    assert (first["object"], first["has_more"], second["has_more"]) == ("list", True, False)
    assert [key["id"] for key in first["data"] + second["data"]] == made
    assert (second["first_id"], second["last_id"]) == (made[2], made[4])
    after = (await admin.get(KEYS, params={"after": made[4]})).json()
    assert after == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        *(("limit=0", "limit"), ("limit=x", "limit"), ("limit=1&limit=2", "limit"), ("before=x", "before")),
        *(("after=%00", "after"), ("after=key_" + "0" * 28, "after")),
    ],
)
async def test_page_that_cannot_be_is_400(admin: httpx2.AsyncClient, query: str, param: str) -> None:
    response = await admin.get(f"{KEYS}?{query}")

    code = {"limit=x": "invalid_type", "limit=1&limit=2": "invalid_type", "before=x": "unknown_parameter"}
    assert_error(response, 400, code.get(query, "invalid_value"), param)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("key_id", ["key_none", "%00", "key_" + "0" * 28, "x" * 5000, "' OR '1'='1", "%F0%9F%A6%8A"])
async def test_unknown_key_is_404(admin: httpx2.AsyncClient, method: str, key_id: str) -> None:
    assert_error(await admin.request(method, f"{KEYS}/{key_id}"), 404, "key_not_found", "id")


async def test_deleted_key_is_refused_and_goes_on_being_listed(admin: httpx2.AsyncClient) -> None:
    made = (await admin.post(KEYS, json={"name": "Ada"})).json()
    theirs = {"authorization": f"Bearer {made['value']}"}
    assert (await admin.get("/v1/models", headers=theirs)).status_code == 200

    deleted, again = await admin.delete(f"{KEYS}/{made['id']}"), await admin.delete(f"{KEYS}/{made['id']}")

    assert deleted.status_code == again.status_code == 200
    assert deleted.json() == again.json() == {"id": made["id"], "object": "api_key.deleted", "deleted": True}
    assert_error(await admin.get("/v1/models", headers=theirs), 401, "invalid_api_key")
    shown = (await admin.get(KEYS)).json()["data"][-1]
    assert shown["state"] == "revoked"
    assert shown["revoked_at"] >= shown["created_at"]


async def test_last_admin_key_cannot_delete_itself(admin: httpx2.AsyncClient, keys: Keys) -> None:
    mine = await own_id(admin)

    error = assert_error(await admin.delete(f"{KEYS}/{mine}"), 409, "last_admin_key", "id")
    assert "Make another one first" in error["message"]
    keys.create(NewKey("other", permissions=PERMISSIONS))

    assert (await admin.delete(f"{KEYS}/{mine}")).status_code == 200
    assert_error(await admin.get(KEYS), 401, "invalid_api_key")


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.test", "http://sightline.test:8000", "http://sightline.test.evil.test", "http://x@evil.test"),
        *("ftp://sightline.test", "sightline.test", "file://", "null", "", "http://[", "http://sightline.test:port"),
    ],
)
async def test_page_of_another_host_may_change_nothing(admin: httpx2.AsyncClient, keys: Keys, origin: str) -> None:
    headers = {"origin": origin}

    made = await admin.post(KEYS, json={"name": "Ada"}, headers=headers)
    deleted = await admin.delete(f"{KEYS}/{await own_id(admin)}", headers=headers)

    assert_error(made, 403, "origin_not_allowed")
    assert_error(deleted, 403, "origin_not_allowed")
    assert len(keys.all()) == 1


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://sightline.test", "sightline.test"),
        ("https://Sightline.test", "sightline.test"),  # TLS ends at a proxy
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://sightline.test", "sightline.test:80"),
    ],
)
async def test_page_of_this_host_may(admin: httpx2.AsyncClient, origin: str, host: str) -> None:
    response = await admin.post(KEYS, json={"name": "Ada"}, headers={"origin": origin, "host": host})

    assert response.status_code == 201


async def test_second_origin_does_not_hide_the_first(admin: httpx2.AsyncClient) -> None:
    headers = [("origin", "http://sightline.test"), ("origin", "http://evil.test")]

    assert_error(await admin.post(KEYS, json={"name": "Ada"}, headers=headers), 403, "origin_not_allowed")


async def test_failing_database_is_503(admin: httpx2.AsyncClient) -> None:
    await admin.get(KEYS)  # the key itself is known for a moment
    failpoints.arm("store.read=error store.write=error")
    try:
        answers = [await admin.get(KEYS), await admin.post(KEYS, json={"name": "Ada"})]
    finally:
        failpoints.arm("")

    for answer in answers:
        assert_error(answer, 503, "store_unavailable")


async def test_who_made_and_revoked_is_in_the_log_and_no_key(admin: httpx2.AsyncClient) -> None:
    mine = await own_id(admin)

    with capture_logs() as logs:
        made = (await admin.post(KEYS, json={"name": "Ada"})).json()
        await admin.delete(f"{KEYS}/{made['id']}")

    said = [(entry["event"], entry["id"], entry["by"]) for entry in logs if entry["event"].startswith("key_")]
    assert said == [("key_made", made["id"], mine), ("key_revoked", made["id"], mine)]
    assert made["value"] not in str(logs)
    assert admin.headers["authorization"].split()[1] not in str(logs)


@pytest.mark.parametrize(("path", "allow"), [(KEYS, {"GET", "HEAD", "POST"}), (KEYS + "/x", {"GET", "HEAD", "DELETE"})])
async def test_other_method_is_405_with_those_there_are(admin: httpx2.AsyncClient, path: str, allow: set[str]) -> None:
    response = await admin.put(path)

    assert_error(response, 405, "method_not_allowed")
    assert set(response.headers["allow"].split(", ")) == allow
