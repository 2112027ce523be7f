"""Servers that are right in substance and odd in form keep their requests, and their place in the pool."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from sightline.core import ImageEncoding, Message, ResponseFormat, TextPart
from sightline.engines.upstream.engine import UpstreamEngine
from sightline.errors import EngineError, EngineOverloaded
from sightline.settings import UpstreamModel, UpstreamSettings
from support.asgi import until
from support.engines import said
from support.upstreams import MODEL, RULE, TEXT, Rude, ask, engine_over

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
SLOW_S = 20.0


class Odd(Rude):
    """Streams `said`, at once, to every request but the first; `usage` is what it counts of each."""

    said = b""

    async def _answer(self, reader: Any, writer: Any, body: dict[str, Any]) -> bool:
        if not self.said or "Say yes." in json.dumps(body):
            return await super()._answer(reader, writer, body)
        writer.write(self.said)
        await reader.read(1)
        return False


class Counting(Rude):
    """Counts `tokens` for every prompt."""

    tokens = 0

    def _usage(self, body: dict[str, Any], words: int) -> dict[str, Any]:
        usage = super()._usage(body, words)
        usage["usage"]["prompt_tokens"] = self.tokens
        return usage


class Thinking(Rude):
    """Refuses to answer in one token."""

    async def _answer(self, reader: Any, writer: Any, body: dict[str, Any]) -> bool:
        if body.get("max_completion_tokens") != 1:
            return await super()._answer(reader, writer, body)
        self._send(writer, {"error": {"message": "Could not finish the message", "code": "invalid_request_error"}}, 400)
        return True


def event(content: object) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def chunk(text: str, reason: str | None = None) -> bytes:
    return event({"choices": [{"delta": {"content": text}, "finish_reason": reason}]})


END = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}) + b"data: [DONE]\n\n"


async def answer_of(server: Odd, *chunks: bytes) -> tuple[str, str | None, bool]:
    """The text that comes of these chunks, why it ended, and whether the server is still in."""
    await server.start()
    try:
        async with engine_over([server]) as engine:
            server.said = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-length: %d\r\n\r\n" % len(b"".join(chunks)))
            server.said += b"".join(chunks)
            deltas = [delta async for delta in engine.generate(ask())]
            return "".join(delta.text for delta in deltas), deltas[-1].finish_reason, engine.pool.servers[0].is_in
    finally:
        await server.stop()


@pytest.mark.parametrize(
    "chunks",
    [
        (chunk("a", ""), chunk("b", ""), chunk("", "stop")),
        (chunk("a"), chunk("b", "stop"), chunk("", "stop")),
        (chunk("a", "stop"), chunk("b", "stop")),
        (chunk("a", "stop"), chunk("b")),
        (chunk("a"), b": ping\n\n", chunk("b", "stop"), b": ping\n\n"),
    ],
    ids=["empty reason", "reason twice", "reason each time", "text behind the reason", "comments"],
)
async def test_no_text_is_lost_or_moved(chunks: tuple[bytes, ...]) -> None:
    assert await answer_of(Odd(), *chunks, END) == ("ab", "stop", True)


async def test_stream_that_is_nested_without_end_is_a_lie() -> None:
    with pytest.raises(EngineError, match="cannot be right"):
        await answer_of(Odd(), b'data: {"choices": ' + b"[" * 5000 + b"\n\n", END)


async def test_empty_answer_has_no_less_than_no_tokens() -> None:
    server = Odd()
    await server.start()
    async with engine_over([server]) as engine:
        usage = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": -1}})
        said = chunk("", "stop") + usage + b"data: [DONE]\n\n"
        server.said = HEAD.replace(b"\r\n\r\n", b"\r\ncontent-length: %d\r\n\r\n" % len(said)) + said
        deltas = [delta async for delta in engine.generate(ask())]
    await server.stop()

    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens == 0


async def test_stream_with_an_empty_usage_is_settled_on_what_we_counted() -> None:
    empty = event({"choices": [], "usage": {}})

    assert await answer_of(Odd(), chunk("a"), chunk("b", "stop"), empty) == ("ab", "stop", False)


async def test_refusal_whose_body_does_not_come_is_one_all_the_same() -> None:
    server = Odd()
    await server.start()
    try:
        async with engine_over([server], idle_timeout_s=SLOW_S) as engine:
            server.said = b"HTTP/1.1 503 X\r\ncontent-length: 9\r\n\r\n"

            async with asyncio.timeout(SLOW_S / 2):
                with pytest.raises(EngineOverloaded):
                    await anext(engine.generate(ask()))
    finally:
        await server.stop()


@pytest.mark.parametrize("name", ["owned_by", "created", "description"])
async def test_what_a_list_leaves_open_keeps_nobody_out(name: str) -> None:
    server = Rude(**{name: None})
    await server.start()
    try:
        async with engine_over([server]) as engine:
            (model,) = engine.models()
    finally:
        await server.stop()

    assert (model.owned_by, model.created >= 0, bool(model.description)) == (model.owned_by or "upstream", True, True)


@pytest.mark.parametrize(
    ("rule", "tokens"),
    [
        (ImageEncoding("patches", 28, min_pixels=512 * 784, max_pixels=1024 * 784), 23 * 23),
        (ImageEncoding("patches", 28, min_pixels=784, max_pixels=9 * 784), 9),
        (ImageEncoding("patches", 28, min_pixels=3_136, max_pixels=12_845_056), 16),
    ],
    ids=["large at least", "small at most", "usual"],
)
async def test_first_picture_is_one_that_the_rule_leaves_as_it_is(rule: ImageEncoding, tokens: int) -> None:
    server = Counting()
    server.tokens = 9 + tokens
    server.usage = {"prompt_tokens_details": {"image_tokens": tokens}}
    server.manner = "lie"
    await server.start()
    engine = UpstreamEngine(UpstreamSettings((server.url,), models={MODEL: UpstreamModel(MODEL, image=rule)}))
    try:
        async with asyncio.timeout(5):
            await engine.start()
    finally:
        await engine.stop()
        await server.stop()


async def test_prompt_may_have_its_schema_in_it_and_what_a_template_begins_with() -> None:
    server = Counting()
    server.tokens = 600
    await server.start()
    schema = json.dumps({"type": "object", "description": "x" * 4000})
    try:
        async with engine_over([server]) as engine:
            server.tokens = 600 + len(schema) // 2
            form = ResponseFormat("json_schema", schema)

            deltas = [delta async for delta in engine.generate(ask(response_format=form))]

            assert deltas[-1].usage is not None
            assert deltas[-1].usage.prompt_tokens == server.tokens
            assert engine.pool.servers[0].is_in
    finally:
        await server.stop()


@pytest.mark.parametrize("reads", [0, 640])
async def test_prompt_may_have_in_it_what_a_sightline_reads_on_the_pictures(reads: int) -> None:
    server = Counting(ocr_max_chars=reads, characters_per_token=1)
    server.tokens = 600
    await server.start()
    try:
        async with engine_over([server]) as engine:
            server.tokens = 32 + 2_000
            (model,) = engine.models()

            deltas = [delta async for delta in engine.generate(ask(images=2))]

            assert (model.ocr_max_chars, model.upstream_ocr_chars, model.characters_per_token) == (0, reads, 1)
            assert deltas[-1].usage is not None
            assert (deltas[-1].usage.prompt_tokens == server.tokens) == bool(reads)
            assert engine.pool.servers[0].is_in == bool(reads)
    finally:
        await server.stop()


@pytest.mark.parametrize("repeats", [False, True])
async def test_prompt_may_have_its_text_twice_where_a_sightline_says_it_again(repeats: bool) -> None:
    server = Counting(prompt_repetition=repeats)
    server.tokens = 600
    await server.start()
    try:
        async with engine_over([server]) as engine:
            server.tokens = 32 + 9_000
            (model,) = engine.models()

            deltas = [delta async for delta in engine.generate(ask("a" * 2_000, images=2))]

            assert (model.prompt_repetition, model.upstream_prompt_repetition) == (False, repeats)
            assert deltas[-1].usage is not None
            assert (deltas[-1].usage.prompt_tokens == server.tokens) == repeats
            assert engine.pool.servers[0].is_in == repeats
    finally:
        await server.stop()


async def test_what_is_read_here_is_said_again_here() -> None:
    """The server would find no message that ends with a picture."""
    server = Rude(prompt_repetition=True)
    await server.start()
    try:
        models = {MODEL: UpstreamModel(MODEL, image=RULE, ocr_max_chars=100)}
        async with engine_over([server], models=models) as engine:
            (model,) = engine.models()

            assert (model.prompt_repetition, model.upstream_prompt_repetition) == (True, False)
    finally:
        await server.stop()


async def test_stopping_ends_a_stream_whose_client_does_not_read_with_an_error() -> None:
    """It ends for the service's sake: nobody left, and nothing is charged."""
    server = Rude()
    await server.start()
    try:
        async with engine_over([server]) as engine:
            server.pause_s = 0.5
            deltas = engine.generate(ask())
            await anext(deltas)

            await engine.stop()

            with pytest.raises(EngineError):
                _ = [delta async for delta in deltas]
            await until(lambda: server.left == 1)
    finally:
        await server.stop()


async def test_stream_is_not_given_up_while_nobody_asks_for_more_of_it() -> None:
    server = Rude()
    await server.start()
    try:
        async with engine_over([server], idle_timeout_s=0.3) as engine:
            deltas = engine.generate(ask())
            await anext(deltas)
            await asyncio.sleep(0.8)  # a client that reads slowly

            rest = [delta async for delta in deltas]

            assert rest[-1].finish_reason == "stop"
    finally:
        await server.stop()


async def test_model_that_refuses_an_answer_of_one_token_is_greeted_without_a_limit() -> None:
    server = Thinking()
    await server.start()
    try:
        async with engine_over([server]) as engine:
            assert said([delta async for delta in engine.generate(ask())]) == TEXT
    finally:
        await server.stop()

    assert [body.get("max_completion_tokens") for body in server.bodies] == [1, None, 8]


async def test_texts_that_are_kept_apart_are_no_lie() -> None:
    """Each gets a mark of its own, and a template may put a line break between."""
    server = Counting()
    server.tokens = 25  # of the first question, which has a picture
    await server.start()
    texts = tuple(TextPart(text) for text in ("<s", ">", *[""] * 2_000))
    try:
        async with engine_over([server]) as engine:
            server.tokens = 9 + 2 * len(texts)
            (delta,) = [
                delta async for delta in engine.generate(replace(ask(stream=False), messages=(Message("user", texts),)))
            ]
            assert engine.pool.servers[0].is_in
    finally:
        await server.stop()

    assert delta.usage is not None
    assert delta.usage.prompt_tokens == server.tokens
