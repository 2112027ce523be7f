"""More requests than the service takes: refused by their head, before a body is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import httpx2
import pytest
from starlette.applications import Starlette

from sightline.admission.admit import Admission
from sightline.api.failures import response_of
from sightline.errors import EngineTimeout
from sightline.settings import RequestLimits, Settings
from support.asgi import Call
from support.bodies import CHAT, SCRIPTED, chat
from support.failures import assert_error_body
from support.permits import admitted

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, limits=RequestLimits(max_running=1, max_queued=0))


async def test_full_line_refuses_a_request_of_which_only_the_head_has_come(
    app: Starlette, make_key: Callable[..., str], admission: Admission
) -> None:
    async with admitted(admission, SCRIPTED, "another"):
        call = Call(app, CHAT, [("authorization", f"Bearer {make_key()}"), ("content-length", "900000")])
        await call.task

    assert_error_body(json.loads(b"".join(call.pieces())), call.status, "overloaded")
    assert call.status == 503
    assert dict(call.sent[0]["headers"])[b"retry-after"] == b"1"


async def test_full_line_refuses_no_request_that_was_answered_before(
    client: httpx2.AsyncClient, admission: Admission
) -> None:
    head = {"idempotency-key": "k"}
    first = await client.post(CHAT, json=chat("a"), headers=head)

    async with admitted(admission, SCRIPTED, "another"):
        again = await client.post(CHAT, json=chat("a"), headers=head)
        new = await client.post(CHAT, json=chat("a"), headers={"idempotency-key": "new"})

    assert again.content == first.content
    assert (again.status_code, new.status_code) == (200, 503)


async def test_a_preview_needs_no_place_of_a_model(client: httpx2.AsyncClient, admission: Admission) -> None:
    async with admitted(admission, SCRIPTED, "another"):
        preview = await client.post(f"{CHAT}/input_tokens", json=chat("a"))

    assert preview.status_code == 200


async def test_engine_that_hangs_is_504_that_says_when_to_come_back() -> None:
    response = response_of(EngineTimeout("It hangs.", retry_after_s=2.5))

    assert response.status_code == 504
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("3", "true")
