"""Money, limits and retries as a client meets them: rows, 402, 429, headers, Idempotency-Key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette

from sightline import failpoints
from sightline.api.runtime import Runtime
from sightline.core import KeyLimits, SpendingLimit
from sightline.pipeline.run import Pipeline
from sightline.settings import PriceSettings, Settings
from sightline.store.database import Database
from sightline.store.tables import ledger
from sightline.testing.scripted_engine import ScriptedEngine
from support.asgi import Call, until
from support.bodies import CHAT, SCRIPTED, chat, image, raw
from support.failures import assert_error

pytestmark = pytest.mark.anyio
Make = Callable[..., str]


@pytest.fixture(autouse=True)
def priced(app: Starlette, settings: Settings, engine: ScriptedEngine, build: Callable[..., Pipeline]) -> None:
    """A prompt token costs 1,000 nano-dollars here, one of an answer 2,000."""
    prices = {SCRIPTED: PriceSettings(Decimal("0.000001"), Decimal("0.000002"))}
    runtime: Runtime = app.state.runtime
    app.state.runtime = replace(runtime, pipeline=build(replace(settings, prices=prices), engine))


def rows(database: Database) -> list[Any]:
    return list(database.read(lambda c: c.execute(select(ledger).order_by(ledger.c.id)).all()))


def bearer(secret: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}", **more}


@pytest.mark.parametrize("stream", [False, True])
async def test_each_answer_has_a_row_with_what_was_used(
    client: httpx2.AsyncClient, database: Database, stream: bool
) -> None:
    answer = await client.post(CHAT, json=chat("a b", image(), stream=stream), headers={"x-request-id": "mine"})

    (row,) = rows(database)
    assert answer.status_code == 200
    assert (row.request_id, row.model, row.outcome, row.status) == ("mine", SCRIPTED, "completed", 200)
    assert (row.prompt_tokens, row.image_tokens, row.completion_tokens) == (18, 16, 3)
    assert (row.prompt_nanos, row.completion_nanos) == (18_000, 6_000)
    (sent,) = row.images
    assert (sent["width"], len(sent["sha256"])) == (32, 64)
    assert sent["bytes"] > 0
    assert set(row.timings) == {"queue", "image", "prefill", "decode"}
    assert row.estimated_tokens >= 18


async def test_a_failure_and_a_refused_request_cost_nothing(client: httpx2.AsyncClient, database: Database) -> None:
    failed = await client.post(CHAT, json=chat("<fail>"))
    refused = await client.post(CHAT, json=chat("a", n=99))

    assert (failed.status_code, refused.status_code) == (500, 400)
    await until(lambda: [(row.outcome, row.status, row.prompt_nanos) for row in rows(database)] == [("failed", 500, 0)])


async def test_spending_limit_is_402_before_work(
    client: httpx2.AsyncClient, make_key: Make, engine: ScriptedEngine, database: Database
) -> None:
    key = bearer(make_key(spending=SpendingLimit(40_000, "day")))

    first = await client.post(CHAT, json=chat("a b", max_tokens=5), headers=key)
    steps = engine.steps
    second = await client.post(CHAT, json=chat("a b", max_tokens=50), headers=key)
    third = await client.post(CHAT, json=chat("a b", max_tokens=5), headers=key)

    assert (first.status_code, third.status_code) == (200, 200)
    assert_error(second, 402, "insufficient_quota")
    assert engine.steps == 2 * steps
    assert [row.outcome for row in rows(database)] == ["completed", "completed"]


async def test_limits_stand_in_openais_headers_and_refuse_with_429(client: httpx2.AsyncClient, make_key: Make) -> None:
    key = bearer(make_key(limits=KeyLimits(requests_per_min=2, tokens_per_min=1000)))

    answers = [await client.post(CHAT, json=chat("a b", max_tokens=5), headers=key) for _ in range(3)]

    first, second, third = (answer.headers for answer in answers)
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert (second["x-ratelimit-remaining-requests"], first["x-ratelimit-limit-tokens"]) == ("0", "1000")
    assert 970 < int(first["x-ratelimit-remaining-tokens"]) < 1000
    assert 1 <= int(third["retry-after"]) <= 30
    assert (third["x-ratelimit-limit-requests"], third["x-ratelimit-remaining-requests"]) == ("2", "0")
    assert_error(answers[2], 429, "rate_limit_exceeded")


async def test_a_429_for_tokens_says_how_many_are_left(client: httpx2.AsyncClient, make_key: Make) -> None:
    key = bearer(make_key(limits=KeyLimits(tokens_per_min=100)))

    first, second = [await client.post(CHAT, json=chat("a b", max_tokens=70, n=1), headers=key) for _ in range(2)]
    large = await client.post(CHAT, json=chat("a b", max_tokens=90), headers=key)

    assert (first.status_code, large.status_code) == (200, 429)
    assert second.status_code == 200  # what the first did not use is back
    assert large.headers["x-ratelimit-limit-tokens"] == "100"
    assert 80 < int(large.headers["x-ratelimit-remaining-tokens"]) < 98


async def test_tokens_of_a_failed_request_are_given_back(client: httpx2.AsyncClient, make_key: Make) -> None:
    key = bearer(make_key(limits=KeyLimits(tokens_per_min=100)))

    answers = [await client.post(CHAT, json=chat("<fail>", max_tokens=60), headers=key) for _ in range(4)]
    too_long = await client.post(CHAT, json=chat("a", max_tokens=500), headers=key)

    assert [answer.status_code for answer in answers] == [500] * 4
    assert (too_long.status_code, too_long.headers["x-should-retry"]) == (429, "false")
    assert "can never pass" in too_long.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_same_idempotency_key_and_body_is_the_same_answer(
    client: httpx2.AsyncClient, database: Database, engine: ScriptedEngine, stream: bool
) -> None:
    body = chat("a b", image(), stream=stream)

    first = await client.post(CHAT, json=body, headers={"idempotency-key": "k1"})
    steps = engine.steps
    again = await client.post(CHAT, json=body, headers={"idempotency-key": "k1"})

    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotent-replayed"] == "true"
    assert engine.steps == steps
    assert len(rows(database)) == 1


async def test_a_first_answer_is_given_again_whatever_would_refuse_the_request_now(
    client: httpx2.AsyncClient, app: Starlette, make_key: Make
) -> None:
    key = make_key(limits=KeyLimits(tokens_per_min=100))
    head = bearer(key, **{"idempotency-key": "k"})
    body = chat("a", max_tokens=60)

    first = await client.post(CHAT, json=body, headers=head)
    refused = await client.post(CHAT, json=chat("b", max_tokens=99), headers=bearer(key))
    spent = await client.post(CHAT, json=body, headers=head)
    await app.state.runtime.pipeline.catalogue.stop()
    gone = await client.post(CHAT, json=body, headers=head)

    assert (first.status_code, refused.status_code) == (200, 429)
    assert spent.content == gone.content == first.content
    assert gone.headers["idempotent-replayed"] == "true"


async def test_money_has_all_its_digits_and_adds_up(
    client: httpx2.AsyncClient,
    app: Starlette,
    database: Database,
    settings: Settings,
    engine: ScriptedEngine,
    build: Callable[..., Pipeline],
) -> None:
    prices = {SCRIPTED: PriceSettings(Decimal("0.00000025"), Decimal("0.0000002501"))}
    app.state.runtime = replace(app.state.runtime, pipeline=build(replace(settings, prices=prices), engine))

    model = (await client.get(f"/v1/models/{SCRIPTED}")).json()
    cost = (await client.post(CHAT, json=chat("a b"))).json()["sightline"]["cost"]

    (row,) = rows(database)
    nanos = [int(Decimal(cost[part]) * 10**9) for part in ("prompt", "completion", "total")]
    assert model["pricing"] == {"prompt": "0.00000025", "completion": "0.0000002501"}
    assert min(nanos) > 0
    assert nanos == [row.prompt_nanos, row.completion_nanos, row.prompt_nanos + row.completion_nanos]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_very_long_answer_is_not_kept(
    client: httpx2.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    head = {"idempotency-key": "k"}
    monkeypatch.setattr("sightline.api.answer.MAX_STORED_BYTES", 1000)

    answers = [await client.post(CHAT, json=chat("a " * 500, stream=stream), headers=head) for _ in range(2)]
    monkeypatch.setattr("sightline.api.answer.MAX_STORED_BYTES", 1_000_000)
    answers += [await client.post(CHAT, json=chat("a " * 500, stream=stream), headers=head) for _ in range(2)]

    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, None, None, "true"]
    assert [row.outcome for row in rows(database)] == ["completed"] * 3


async def test_idempotency_key_of_another_body_or_a_running_twin_is_409(
    client: httpx2.AsyncClient, engine: ScriptedEngine
) -> None:
    engine.step_s = 0.05
    head = {"idempotency-key": "k"}

    twins = await asyncio.gather(*(client.post(CHAT, json=chat("a b c"), headers=head) for _ in range(3)))
    other = await client.post(CHAT, json=chat("d"), headers=head)

    assert sorted(answer.status_code for answer in twins) == [200, 409, 409]
    assert {answer.headers["retry-after"] for answer in twins if answer.status_code == 409} == {"1"}
    assert "retry-after" not in other.headers
    assert_error(other, 409, "idempotency_conflict")


async def test_idempotency_key_of_a_failure_may_be_used_again(client: httpx2.AsyncClient, database: Database) -> None:
    head = {"idempotency-key": "k"}

    failed = await client.post(CHAT, json=chat("<fail>"), headers=head)
    await until(lambda: rows(database)[0].outcome == "failed")
    good = await client.post(CHAT, json=chat("a"), headers=head)

    assert (failed.status_code, good.status_code) == (500, 200)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"])
async def test_odd_idempotency_keys_are_400(client: httpx2.AsyncClient, key: str) -> None:
    answer = await client.post(CHAT, json=chat("a"), headers={"idempotency-key": key})

    assert answer.status_code == 400
    assert "1 to 255 printable" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_without_a_row_there_is_no_answer(client: httpx2.AsyncClient, database: Database, stream: bool) -> None:
    await client.get("/v1/models")  # the key is known from here on, though the database is not to be had
    failpoints.arm("store.write=error")
    try:
        answer = await client.post(CHAT, json=chat("a", stream=stream))
    finally:
        failpoints.arm("")
    good = await client.post(CHAT, json=chat("a", stream=stream))

    assert_error(answer, 503, "store_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert good.status_code == 200
    assert [row.outcome for row in rows(database)] == ["completed"]


async def test_an_answer_that_cannot_be_settled_does_not_go_out(
    client: httpx2.AsyncClient, engine: ScriptedEngine, database: Database
) -> None:
    engine.step_s = 0.05
    running = asyncio.create_task(client.post(CHAT, json=chat("a b c d")))
    await until(lambda: rows(database) != [])
    failpoints.arm("store.commit=error")
    answer = await running
    failpoints.arm("")

    assert_error(answer, 503, "store_unavailable")
    await until(lambda: [(row.outcome, row.prompt_nanos) for row in rows(database)] == [("failed", 0)])


async def half_answered(app: Starlette, key: str, engine: ScriptedEngine, *, stream: bool = True) -> Call:
    """A request of seven pieces, of which three are made."""
    engine.step_s = 0.02
    call = Call(app, CHAT, [("authorization", f"Bearer {key}")])
    call.body(raw("a b c d e f g", stream=stream))
    await until(lambda: engine.steps == 3)
    return call


async def test_a_client_that_disconnects_pays_for_what_was_made(
    app: Starlette, make_key: Make, engine: ScriptedEngine, database: Database
) -> None:
    call = await half_answered(app, make_key(), engine)
    call.leave()
    await call.task

    await until(lambda: [row.outcome for row in rows(database)] == ["cancelled"])
    (row,) = rows(database)
    assert (row.status, row.prompt_tokens, row.completion_tokens) == (499, 7, 3)
    assert row.prompt_nanos + row.completion_nanos == 7_000 + 6_000


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_the_service_cuts_off_costs_nothing(
    app: Starlette, make_key: Make, engine: ScriptedEngine, database: Database, stream: bool
) -> None:
    """As when it is told to stop at once: the client is still there, and gets no answer or a part of one."""
    call = await half_answered(app, make_key(), engine, stream=stream)
    call.task.cancel()
    await asyncio.wait([call.task])

    await until(lambda: [row.outcome for row in rows(database)] == ["failed"])
    (row,) = rows(database)
    assert (row.status, row.error, row.completion_tokens) == (503, "engine_unavailable", 0)
    assert row.prompt_nanos + row.completion_nanos == 0
    assert engine.running == 0


async def test_an_answer_that_cannot_be_written_costs_nothing(
    client: httpx2.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline.api.answer.completion", lambda *_: 1 / 0)

    answer = await client.post(CHAT, json=chat("a b"))

    assert_error(answer, 500, None)
    assert "Nothing was charged" in answer.text
    await until(lambda: [(row.outcome, row.prompt_nanos) for row in rows(database)] == [("failed", 0)])
