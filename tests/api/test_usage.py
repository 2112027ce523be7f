"""`GET /v1/usage`, `GET /v1/usage/requests`: shapes, formats, whose usage, and what is refused."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from datetime import timedelta

import httpx2
import pytest
from starlette.applications import Starlette

from sightline.api import usage as usage_module
from sightline.auth.keys import Keys
from sightline.core import NewKey, Permission
from sightline.errors import StoreUnavailable
from sightline.metering.audit import check
from sightline.store.database import MOST_REPORTS, Database
from support.bodies import CHAT, chat, image
from support.failures import assert_error
from support.ledgers import DONE, FAILED, NOON, entry, fill

pytestmark = pytest.mark.anyio
TOTALS, REQUESTS = "/v1/usage", "/v1/usage/requests"
DAY = timedelta(days=1)


Client = Callable[..., httpx2.AsyncClient]


@pytest.fixture
async def client_with(app: Starlette, keys: Keys) -> AsyncIterator[Client]:
    """Make clients whose keys have these permissions."""
    async with AsyncExitStack() as stack:

        def make(*permissions: Permission) -> httpx2.AsyncClient:
            _, secret = keys.create(NewKey("other", permissions=frozenset(permissions)))
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            headers = {"authorization": f"Bearer {secret}"}
            client = httpx2.AsyncClient(transport=transport, base_url="http://sightline.test", headers=headers)
            stack.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
async def own(app: Starlette, keys: Keys, database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """A client whose key has three requests, besides one of somebody else."""
    key, secret = keys.create(NewKey("Ada"))
    written = [
        (entry(key_id=key.id), DONE),
        (entry(NOON + DAY, key_id=key.id, model="b/model"), DONE),
        (entry(NOON + DAY, key_id=key.id), FAILED),
        (entry(NOON + DAY), DONE),
    ]
    await fill(database, written)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {secret}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://sightline.test", headers=headers) as client:
        yield client


async def test_totals_are_by_day_and_of_the_key_that_asks(own: httpx2.AsyncClient) -> None:
    response = await own.get(TOTALS)

    counts = {"prompt_tokens": 12, "completion_tokens": 5, "image_tokens": 8, "cost": "0.00000017", "currency": "USD"}
    assert response.json() == {
        "object": "list",
        "data": [
            {"object": "usage.total", "day": "2026-11-20", "requests": 1, "failed": 0, **counts},
            {"object": "usage.total", "day": "2026-11-21", "requests": 2, "failed": 1, **counts},
        ],
        "has_more": False,
        "next_page": None,
    }


async def test_admin_sees_all_keys_or_the_one_asked_for(own: httpx2.AsyncClient, client_with: Client) -> None:
    admin = client_with("usage", "admin")
    every = (await admin.get(TOTALS, params={"group_by": "key"})).json()["data"]
    other = (await admin.get(REQUESTS, params={"key_id": "key_1"})).json()["data"]

    assert [(row["key_name"], row["requests"]) for row in every] == [("Ada", 3), (None, 1)]
    assert [row["key_id"] for row in other] == ["key_1"]


async def test_another_key_s_usage_is_denied(own: httpx2.AsyncClient) -> None:
    for path in (TOTALS, REQUESTS):
        assert_error(await own.get(path, params={"key_id": "key_1"}), 403, "permission_denied")
    mine = (await own.get(REQUESTS)).json()["data"][0]["key_id"]
    assert (await own.get(REQUESTS, params={"key_id": mine})).status_code == 200


async def test_model_may_be_named_by_an_alias(app: Starlette, own: httpx2.AsyncClient) -> None:
    app.state.runtime.pipeline.catalogue._aliases = {"gpt-4o": "b/model"}

    totals, requests = [(await own.get(path, params={"model": "gpt-4o"})).json()["data"] for path in (TOTALS, REQUESTS)]

    assert len(totals) == 1
    assert [row["model"] for row in requests] == ["b/model"]


async def test_groups_span_and_model_are_taken(own: httpx2.AsyncClient) -> None:
    params = [("group_by", "model"), ("group_by", "day"), ("start", "2026-11-21"), ("end", "1795305600")]
    both = (await own.get(TOTALS, params=[*params, ("model", "b/model")])).json()["data"]
    zoned = (await own.get(f"{TOTALS}?start=2026-11-21T02:00:00+02:00")).json()["data"]

    assert [(row["model"], row["day"]) for row in both] == [("b/model", "2026-11-21")]
    assert [row["day"] for row in zoned] == ["2026-11-21"]


@pytest.mark.parametrize("path", [TOTALS, REQUESTS])
async def test_pages_lead_to_the_end(own: httpx2.AsyncClient, path: str) -> None:
    first = (await own.get(path, params={"limit": 1})).json()
    second = (await own.get(path, params={"limit": 1, "after": first["next_page"]})).json()
    text = await own.get(path, params={"limit": 1, "format": "csv"})

    assert first["has_more"]
    assert first["data"] != second["data"]
    assert text.headers["x-next-page"] == first["next_page"]


async def test_single_requests_are_newest_first_in_three_forms(own: httpx2.AsyncClient) -> None:
    [failed, other, first] = (await own.get(REQUESTS)).json()["data"]
    lines = await own.get(REQUESTS, params={"format": "jsonl"})
    table = await own.get(REQUESTS, params={"format": "csv"})

    assert (failed["outcome"], failed["status"], failed["cost"], failed["error"]) == (
        "failed",
        500,
        "0",
        "engine_error",
    )
    assert (other["model"], other["key_name"], other["time"]) == ("b/model", "Ada", "2026-11-21T12:00:00.000Z")
    assert first["images"] == [{"sha256": "ab", "width": 3}]
    assert [json.loads(line) for line in lines.text.splitlines()] == [failed, other, first]
    assert (lines.headers["content-type"], table.headers["content-type"][:8]) == ("application/jsonl", "text/csv")
    assert [row["id"] for row in csv.DictReader(io.StringIO(table.text))] == [
        row["id"] for row in (failed, other, first)
    ]


@pytest.mark.parametrize(
    ("query", "code", "param", "words"),
    [
        ("by=day", "unknown_parameter", "by", "it takes group_by, start, end, key_id, model, limit, after, format"),
        ("group_by=week", "invalid_value", "group_by", "must be one of day, key, model, and is week"),
        ("start=yesterday", "invalid_value", "start", "RFC 3339"),
        ("end=2026-11-21T00:00:00", "invalid_value", "end", "with its zone"),
        ("start=", "invalid_value", "start", "unix seconds"),
        ("start=20261121", "invalid_value", "start", "unix seconds (nine digits or more), a day (2026-11-21)"),
        ("limit=0", "invalid_value", "limit", "from 1 to 1000"),
        ("limit=1001", "invalid_value", "limit", "from 1 to 1000"),
        ("limit=%D9%A3", "invalid_value", "limit", "from 1 to 1000"),
        ("limit=1&limit=2", "invalid_value", "limit", "given once"),
        ("format=jsonl", "invalid_value", "format", "must be one of json, csv"),
        ("model=%00", "invalid_value", "model", "printable"),
        ("after=x", "invalid_value", "after", "next_page"),
        ("%00=1", "unknown_parameter", "\x00", "is not a parameter"),
    ],
)
async def test_what_is_not_taken_is_400(own: httpx2.AsyncClient, query: str, code: str, param: str, words: str) -> None:
    error = assert_error(await own.get(f"{TOTALS}?{query}"), 400, code, param)

    assert words in error["message"]


async def test_all_problems_are_told_at_once(own: httpx2.AsyncClient) -> None:
    response = await own.get(f"{REQUESTS}?group_by=day&limit=x&start=x")

    details = response.json()["error"]["details"]
    assert [detail["param"] for detail in details] == ["group_by", "limit", "start"]


@pytest.mark.parametrize("path", [TOTALS, REQUESTS])
async def test_no_key_no_usage(own: httpx2.AsyncClient, path: str) -> None:
    del own.headers["authorization"]

    assert_error(await own.get(path), 401, "invalid_api_key")


@pytest.mark.parametrize("path", [TOTALS, REQUESTS])
async def test_a_key_that_may_not_see_usage_is_denied(client_with: Client, path: str) -> None:
    assert_error(await client_with("inference").get(path), 403, "permission_denied")


async def test_nothing_used_is_an_empty_list(client: httpx2.AsyncClient) -> None:
    for path in (TOTALS, REQUESTS):
        assert (await client.get(path)).json()["data"] == []


async def test_long_reports_keep_nobody_waiting_and_are_bounded(
    own: httpx2.AsyncClient, client_with: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key is looked up in the database while as many reports as may be are being made or wait."""
    until, begun = threading.Event(), threading.Semaphore(0)

    def long(*_: object, **__: object) -> None:
        begun.release()
        until.wait(30)
        raise StoreUnavailable

    await own.get(REQUESTS)
    monkeypatch.setattr(usage_module, "totals", long)
    reports = [asyncio.create_task(own.get(TOTALS)) for _ in range(MOST_REPORTS)]
    await asyncio.to_thread(begun.acquire)

    one_more = await own.get(TOTALS)
    answer = await client_with("inference").post(CHAT, json=chat("a"))
    until.set()
    ended = await asyncio.gather(*reports)

    assert_error(one_more, 503, "overloaded")
    assert "16 reports" in one_more.json()["error"]["message"]
    assert answer.status_code == 200
    assert {response.json()["error"]["code"] for response in ended} == {"store_unavailable"}


async def test_what_was_answered_is_what_is_shown(client: httpx2.AsyncClient, database: Database) -> None:
    answers = [(await client.post(CHAT, json=chat("what?", image()))).json() for _ in range(2)]
    await client.post(CHAT, json=chat("x", image(), model="no/such"))

    [day] = (await client.get(TOTALS)).json()["data"]
    lines = (await client.get(REQUESTS)).json()["data"]

    for name in ("prompt_tokens", "completion_tokens"):
        assert day[name] == sum(answer["usage"][name] for answer in answers) == sum(line[name] for line in lines)
    assert day["requests"] == 2
    [shown] = lines[0]["images"]
    receipt = answers[1]["sightline"]["images"][0]
    assert shown == {name: receipt[name] for name in ("sha256", "width", "height", "bytes")}
    with closing(database.liveness()) as presence:
        assert check(database, presence).discrepancies == ()
