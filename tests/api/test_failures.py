"""Every status the service answers with, each in OpenAI's shape."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from sightline.admission.admit import Admission
from sightline.api.failures import response_of
from sightline.api.runtime import Runtime
from sightline.app import create_app
from sightline.errors import MOST_PROBLEMS, RateLimitExceeded
from sightline.pipeline.run import Pipeline
from sightline.settings import ServerSettings, Settings
from sightline.testing.scripted_engine import ScriptedEngine
from support.asgi import Call
from support.bodies import CHAT, TOOL, chat, events, image, raw
from support.failures import assert_error, assert_error_body
from support.pictures import picture, png_header

pytestmark = pytest.mark.anyio


async def post(client: httpx2.AsyncClient, body: Any, **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(CHAT, content=content, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"[]", "invalid_type", None),
        (b'"text"', "invalid_type", None),
        (chat("a", model=3), "invalid_type", "model"),
        ({"model": "sightline/scripted"}, "missing_required_parameter", "messages"),
        (chat("a", temperature=2.5), "invalid_value", "temperature"),
        (chat("a", temperature="0"), "invalid_type", "temperature"),
        (chat("a", banana=1), "unknown_parameter", "banana"),
        (chat("a", tools=[TOOL]), "unsupported_parameter", "tools"),
        (chat("a", top_p=0.5), "unsupported_parameter", "top_p"),
        (chat("a", n=9), "invalid_value", "n"),
        (chat({"type": "video"}), "invalid_value", "messages.[0].content.[0].type"),
        (chat(image(), image(), image()), "too_many_images", "messages"),
        (chat(image(b"BM not ours")), "unsupported_image_format", "messages.[0].content.[0].image_url.url"),
        (chat(image(png_header(9000, 9000))), "image_too_large", "messages.[0].content.[0].image_url.url"),
        (chat("a", image(picture()[:60])), "invalid_image", "messages.[0].content.[1].image_url.url"),
        (
            chat({"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}),
            "image_url_not_supported",
            "messages.[0].content.[0].image_url.url",
        ),
    ],
)
async def test_bad_request_is_400_and_names_the_place(
    client: httpx2.AsyncClient, body: Any, code: str, param: str | None
) -> None:
    error = assert_error(await post(client, body), 400, code, param)

    assert "retry-after" not in error


@pytest.mark.parametrize(
    ("body", "params"),
    [
        (chat(image(png_header(9000, 9000)), top_p=0.5), ["messages.[0].content.[0].image_url.url", "top_p"]),
        (chat("a", stream_options={"include_usage": True}, top_p=0.5), ["stream_options", "top_p"]),
        (chat(image(), image(), image(), model="nobody/knows"), ["messages", "model"]),
        (chat("a", logit_bias={"5": 1}, top_p=0.5), ["logit_bias", "top_p"]),
        (chat("a", temperature="hot", banana=1, top_p=0.5), ["temperature", "banana", "top_p"]),
        (chat("a", tool_choice="auto"), ["tool_choice", "tool_choice"]),
        (chat(1, top_p=0.5), ["messages.[0].content.[0]"]),  # of no request, nothing more can be said
    ],
)
async def test_what_the_model_lacks_is_named_with_what_is_wrong_with_the_body(
    client: httpx2.AsyncClient, body: Any, params: list[str]
) -> None:
    response = await post(client, body)

    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, params[0])
    assert [problem["param"] for problem in error["details"]] == params


async def test_images_that_are_refused_count_for_the_model_too(client: httpx2.AsyncClient, app: Starlette) -> None:
    [engine] = app.state.runtime.pipeline.catalogue._engines
    engine._info = replace(engine._info, max_images=1)
    far = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}

    error = (await post(client, chat(image(), far))).json()["error"]

    assert [problem["code"] for problem in error["details"]] == ["image_url_not_supported", "too_many_images"]
    assert "takes 1 image a request, 2 were sent" in error["details"][1]["message"]


async def test_a_hundred_problems_are_listed_at_most(client: httpx2.AsyncClient) -> None:
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    messages = [{"role": "assistant", "tool_calls": calls}] * 150

    response = await post(client, {"model": "sightline/scripted", "messages": messages})

    assert len(response.json()["error"]["details"]) == MOST_PROBLEMS


@pytest.mark.parametrize("stream", [False, True])
async def test_what_fails_before_the_first_piece_is_a_plain_error(client: httpx2.AsyncClient, stream: bool) -> None:
    response = await client.post(CHAT, json=chat(image(picture()[:60]), stream=stream))

    assert_error(response, 400, "invalid_image", "messages.[0].content.[0].image_url.url")
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "authorization", ["", "Bearer ", "Bearer sk-sl-unknown", "Basic abc", "sk-sl-naked", "Bearer ÿ\x7f"]
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/sightline/scripted"])
async def test_wrong_key_is_401(client: httpx2.AsyncClient, authorization: str, path: str) -> None:
    method = "POST" if path == CHAT else "GET"

    response = await client.request(method, path, headers={"authorization": authorization.encode("latin-1")})

    assert_error(response, 401, "invalid_api_key")
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-should-retry"] == "false"


async def test_anonymous_body_is_never_read(app: Starlette) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(4):
            read += 1
            yield b"{" * 1000

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://sightline.test") as client:
        response = await client.post(CHAT, content=body())

    assert_error(response, 401, "invalid_api_key")
    assert read == 0


async def test_unknown_model_is_404_and_lists_what_is_loaded(client: httpx2.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("a", model="gpt-4o"))

    error = assert_error(response, 404, "model_not_found", "model")
    assert "'gpt-4o'" in error["message"]
    assert "sightline/scripted" in error["message"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/chat/completions/more", "/health"])
async def test_unknown_route_is_404(client: httpx2.AsyncClient, path: str) -> None:
    assert_error(await client.get(path), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", CHAT), ("DELETE", "/v1/models"), ("POST", "/health/live")])
async def test_wrong_method_is_405_and_says_which_is_right(client: httpx2.AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, path)

    assert_error(response, 405, "method_not_allowed")
    assert response.headers["allow"]
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x", "image/png", "é" * 500])
async def test_other_media_type_is_415(client: httpx2.AsyncClient, media_type: str) -> None:
    response = await client.post(CHAT, content=raw("a"), headers={"content-type": media_type.encode("latin-1")})

    assert_error(response, 415, "unsupported_media_type")


async def test_compressed_body_is_415(client: httpx2.AsyncClient) -> None:
    response = await post(client, gzip.compress(raw("a")), **{"content-encoding": "gzip"})

    assert_error(response, 415, "unsupported_media_type")
    assert "gzip" in response.json()["error"]["message"]
    assert (await post(client, raw("a"), **{"content-encoding": "Identity"})).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("POST", f"{CHAT}/"), ("GET", "/v1/models/"), ("GET", "/health/live/")])
async def test_slash_at_the_end_changes_nothing(client: httpx2.AsyncClient, method: str, path: str) -> None:
    """No redirect: behind a proxy that ends TLS it would lead from https to http."""
    body = {"content": raw("a")} if method == "POST" else {}

    response = await client.request(method, path, **body)

    assert response.status_code == 200
    assert (await client.request(method, f"{path}/", **body)).status_code == 404


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"]
)
async def test_json_under_its_other_names_is_taken(client: httpx2.AsyncClient, media_type: str) -> None:
    response = await client.post(CHAT, content=raw("a"), headers={"content-type": media_type})

    assert response.status_code == 200


def _padded(size: int) -> bytes:
    body = raw("a")
    return body + b" " * (size - len(body))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(1_048_575, 200), (1_048_576, 413), (1_200_000, 413)])
async def test_body_of_the_limit_is_413_and_one_byte_less_is_taken(
    client: httpx2.AsyncClient, chunked: bool, size: int, status: int
) -> None:
    body = _padded(size)
    given = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal given
        for at in range(0, size, 65_536):
            given = min(size, at + 65_536)
            yield body[at:given]

    response = await client.post(CHAT, content=pieces() if chunked else body)

    if status == 413:
        assert_error(response, 413, "request_too_large")
        assert response.headers["connection"] == "close"
        assert given <= 1_048_576
    else:
        assert response.status_code == 200


async def test_long_content_length_is_413_before_anything_is_read(client: httpx2.AsyncClient) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    response = await client.post(CHAT, content=body(), headers={"content-length": "1048576"})

    assert_error(response, 413, "request_too_large")
    assert not read


@pytest.mark.parametrize("length", ["²", "-1", "1e9", " ", "9" * 5000])
async def test_nonsense_content_length_is_no_bug_of_ours(client: httpx2.AsyncClient, length: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield raw("a")

    response = await client.post(CHAT, content=body(), headers={"content-length": length.encode("latin-1")})

    assert response.status_code in (200, 413)


async def test_limit_of_the_settings_is_the_limit(
    settings: Settings, app: Starlette, client: httpx2.AsyncClient
) -> None:
    small = replace(settings, server=ServerSettings(max_body_bytes=100))
    app.state.runtime = replace(app.state.runtime, settings=small)

    response = await client.post(CHAT, content=b"{" * 100)

    error = assert_error(response, 413, "request_too_large")
    assert "100" in error["message"]


async def test_full_house_is_503_with_a_time_to_come_back(client: httpx2.AsyncClient, admission: Admission) -> None:
    admission.in_flight = 256

    response = await client.post(CHAT, json=chat("a"))

    assert_error(response, 503, "overloaded")
    assert response.headers["retry-after"] == "1"


def test_refusal_that_waiting_does_not_help_is_not_sent_again() -> None:
    later, never = response_of(RateLimitExceeded("", retry_after_s=2.1)), response_of(RateLimitExceeded(""))

    assert (later.headers["retry-after"], later.headers["x-should-retry"]) == ("3", "true")
    assert "retry-after" not in never.headers
    assert never.headers["x-should-retry"] == "false"


async def test_draining_is_503(client: httpx2.AsyncClient, admission: Admission) -> None:
    admission.draining = True

    assert_error(await client.post(CHAT, json=chat("a")), 503, "overloaded")


async def test_starting_engine_is_503_for_any_model(client: httpx2.AsyncClient, engine: ScriptedEngine) -> None:
    await engine.stop()

    assert_error(await client.post(CHAT, json=chat("a")), 503, "engine_unavailable")
    assert_error(await client.get("/v1/models/sightline/scripted"), 503, "engine_unavailable")


async def test_engine_error_is_500_in_its_own_words(client: httpx2.AsyncClient) -> None:
    error = assert_error(await client.post(CHAT, json=chat("<fail>")), 500, "engine_error")

    assert error["message"] == "The scripted engine was told to fail."


class Broken(ScriptedEngine):
    """An engine with a bug: it raises what no engine may, before or after its first piece."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self._pieces = pieces

    async def pieces(self, request: Any) -> Any:
        async for delta in super().pieces(request):
            if self.steps > self._pieces:
                raise ZeroDivisionError("secret: /home/somebody/model.bin")
            yield delta


@pytest.fixture
async def broken(
    settings: Settings, app: Starlette, client: httpx2.AsyncClient, build: Callable[..., Pipeline]
) -> Callable[[int], Any]:
    """Put a broken engine in the place of the scripted one."""
    runtime: Runtime = app.state.runtime

    async def replace_engine(pieces: int) -> None:
        engine = Broken(pieces)
        await engine.start()
        pipeline = build(settings, engine)
        app.state.runtime = replace(runtime, pipeline=pipeline)

    return replace_engine


@pytest.mark.parametrize("body", [chat("a b"), chat("a b", n=2), chat("a b", stream=True)])
async def test_bug_is_500_with_a_fixed_text_and_one_trace_in_the_log(
    broken: Callable[[int], Any], client: httpx2.AsyncClient, admission: Admission, body: Any
) -> None:
    await broken(0)

    with capture_logs(processors=[merge_contextvars]) as logs:
        response = await client.post(CHAT, json=body)

    error = assert_error(response, 500, None)
    assert "secret" not in error["message"]
    [bug] = [entry for entry in logs if entry["event"] == "unexpected_error"]
    assert isinstance(bug["exc_info"], ZeroDivisionError)
    assert bug["request_id"] == response.headers["x-request-id"]
    assert [entry["status"] for entry in logs if entry["event"] == "request"] == [500]
    assert admission.in_flight == 0


async def test_bug_within_a_stream_is_an_event_and_the_end(
    broken: Callable[[int], Any], client: httpx2.AsyncClient, admission: Admission
) -> None:
    await broken(1)

    with capture_logs() as logs:
        response = await client.post(CHAT, json=chat("a b c", stream=True))

    *chunks, last = events(response.text)
    assert response.status_code == 200
    assert [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]] == ["", "a"]
    assert_error_body(last, 500, None)
    assert "unexpected_error" in {entry["event"] for entry in logs}
    assert admission.in_flight == 0


async def test_engine_that_stops_within_a_stream_is_an_event_and_the_end(
    app: Starlette, engine: ScriptedEngine, make_key: Callable[..., str]
) -> None:
    engine.step_s = 0.01
    call = Call(app, CHAT, [("authorization", f"Bearer {make_key()}")])
    call.body(raw("a b c d e f", stream=True))
    await call.frames(2)

    await engine.stop()
    await call.task

    *_, last = events(b"".join(call.pieces()))
    assert_error_body(last, 503, "engine_unavailable")
    assert engine.running == 0


async def test_error_of_an_app_without_our_routes_keeps_the_shape(settings: Settings) -> None:
    app = create_app(settings, engines=[])

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://sightline.test") as client:
        response = await client.get("/v2")

    assert_error(response, 404, "not_found")
