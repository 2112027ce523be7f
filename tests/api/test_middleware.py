"""Request ids, the access log, and what a client that leaves does to its request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs

from sightline.admission.admit import Admission
from sightline.testing.scripted_engine import ScriptedEngine
from support.asgi import Call, until
from support.bodies import CHAT, chat, image, raw
from support.pictures import picture

pytestmark = pytest.mark.anyio

Begin = Callable[[], Call]


@pytest.fixture
def begin(app: Starlette, make_key: Callable[..., str]) -> Begin:
    """Begin a chat request with a valid key whose body is still to come."""
    return lambda: Call(app, CHAT, [("authorization", f"Bearer {make_key()}")])


async def test_every_answer_has_an_id_and_its_time(client: httpx2.AsyncClient) -> None:
    first, second = [await client.get("/health/live") for _ in range(2)]

    assert first.headers["x-request-id"].startswith("req_")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert int(first.headers["openai-processing-ms"]) >= 0


@pytest.mark.parametrize(
    ("sent", "kept"), [("my-id_1.2", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("", False)]
)
async def test_id_of_the_client_is_kept_when_it_is_harmless(client: httpx2.AsyncClient, sent: str, kept: bool) -> None:
    response = await client.get("/health/live", headers={"x-request-id": sent})

    assert (response.headers["x-request-id"] == sent) == kept


async def test_log_has_one_line_a_request_without_key_prompt_or_picture(client: httpx2.AsyncClient) -> None:
    with capture_logs() as logs:
        await client.post(CHAT, json=chat("a secret question", image()))

    [line] = logs
    assert {name: line[name] for name in ("event", "method", "path", "status")} == {
        "event": "request",
        "method": "POST",
        "path": CHAT,
        "status": 200,
    }
    assert line["ms"] >= 0
    assert not any(word in str(logs) for word in ("sk-sl-", "secret", "base64"))


async def test_leaving_within_a_stream_ends_the_work_within_a_step(
    begin: Begin, engine: ScriptedEngine, admission: Admission
) -> None:
    engine.step_s = 0.05
    call = begin()
    call.body(raw("word " * 200, stream=True))
    await call.frames(3)
    steps = engine.steps

    call.leave()
    await call.task

    assert engine.steps - steps <= 1
    assert engine.running == 0
    assert admission.in_flight == 0


@pytest.mark.parametrize("n", [1, 4])
async def test_leaving_ends_the_work_on_a_plain_answer(
    begin: Begin, engine: ScriptedEngine, admission: Admission, n: int
) -> None:
    engine.step_s = 0.05
    call = begin()
    call.body(raw("word " * 200, n=n))
    await until(lambda: engine.steps >= n)
    steps = engine.steps

    with capture_logs() as logs:
        call.leave()
        await call.task

    assert engine.steps - steps <= n
    assert engine.running == 0
    assert admission.in_flight == 0
    assert call.sent == []
    assert [(line["event"], line["status"]) for line in logs] == [("request", 499)]


async def test_leaving_while_images_are_read_ends_the_request(
    begin: Begin, engine: ScriptedEngine, admission: Admission
) -> None:
    call = begin()
    call.body(raw(image(picture("png", 1000, 1000)), "what?"))
    await until(lambda: admission.in_flight == 1)

    call.leave()
    await call.task

    assert engine.steps == 0
    assert admission.in_flight == 0


@pytest.mark.parametrize("sent", [b"", raw("a")[:20]])
async def test_leaving_during_the_upload_is_no_bug(begin: Begin, sent: bytes) -> None:
    call = begin()
    call.body(sent, more=True)

    with capture_logs() as logs:
        call.leave()
        await call.task

    assert call.sent == []
    assert [(line["event"], line["status"]) for line in logs] == [("request", 499)]


async def test_leaving_a_request_that_reads_no_body_harms_nothing(app: Starlette) -> None:
    call = Call(app, "/health/live", method="GET")
    call.leave()

    await call.task

    assert call.status == 200


async def test_body_in_many_pieces_is_one_body(begin: Begin) -> None:
    call = begin()
    body = raw("a", image())
    for at in range(0, len(body), 100):
        call.body(body[at : at + 100], more=True)
    call.body(b"")

    await call.task

    assert call.status == 200


async def test_leaving_ends_only_its_own_request(begin: Begin, engine: ScriptedEngine) -> None:
    engine.step_s = 0.01
    leaving, staying = begin(), begin()
    for call in (leaving, staying):
        call.body(raw("one two three four five six", stream=True))
        await call.frames(2)

    leaving.leave()
    await asyncio.gather(leaving.task, staying.task)

    assert b"[DONE]" not in b"".join(leaving.pieces())
    assert b"[DONE]" in b"".join(staying.pieces())


async def test_other_protocols_pass_through(app: Starlette) -> None:
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        messages.append(message)

    await app({"type": "websocket", "path": "/", "headers": [], "query_string": b""}, receive, send)

    assert messages[0]["type"] in ("websocket.close", "websocket.http.response.start")
