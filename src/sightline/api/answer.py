"""What goes out for a request that was carried out: one JSON body, or server-sent events as its pieces come.

Comes in: the pipeline's events. Goes out: bytes. Knows nothing of connections.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import lru_cache
from typing import Any

from sightline.api.evidence import evidence_body, lines_body
from sightline.api.failures import bug
from sightline.core import ChatRequest, Delta
from sightline.errors import ServiceError
from sightline.metering.prices import Cost, dollars
from sightline.pipeline.context import StoredAnswer
from sightline.pipeline.fanout import Pieces
from sightline.pipeline.run import Completed, Preview
from sightline.wire import sse
from sightline.wire.render import Head, chunk, completion, delta_choice, encode, error_body, role_choice, usage_body

JSON_TYPE = "application/json"
EVENT_STREAM_TYPE = "text/event-stream; charset=utf-8"
MAX_STORED_BYTES = 4_000_000
"""Of an answer that is kept for its Idempotency-Key: it is written in a commit that others wait for."""
Events = AsyncGenerator[Pieces | Completed, StoredAnswer | None]

_dollars = lru_cache(maxsize=4096)(dollars)  # of a model without a price it is always the same


async def collect(head: Head, chat: ChatRequest, events: Events) -> bytes:
    """A plain answer: the stream, collected to its end, which is when it is settled."""
    answers: list[list[Delta]] = [[] for _ in range(chat.n)]
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completed):
                body = encode(completion(head, answers, event.usage, extras(event)))
                await settle(events, StoredAnswer(body, JSON_TYPE) if len(body) <= MAX_STORED_BYTES else None)
                return body
            answers[event.choice] += event.deltas
    raise AssertionError("the pipeline ends with Completed")  # pragma: no cover - it does


async def settle(events: Events, answer: StoredAnswer | None) -> None:
    """Have a completed request settled; `answer` is kept for its Idempotency-Key.

    Raises:
        StoreUnavailable: it could not be, so that the answer must not go out.
    """
    with suppress(StopAsyncIteration):
        await events.asend(answer)


async def frames(
    head: Head, chat: ChatRequest, first: Pieces | Completed, rest: Events, *, is_stored: bool
) -> AsyncGenerator[bytes, None]:
    """An answer as server-sent events. The receipt rides on the last chunk, which waits until it is settled."""
    stream = Stream(head, chat, is_kept=is_stored)
    try:
        async with aclosing(rest):
            made = stream.opening()
            event = first
            while isinstance(event, Pieces):
                yield made + stream.pieces(event)
                made = b""
                event = await anext(rest)
            end = stream.end(event)
            whole = stream.whole()
            await settle(rest, None if whole is None else StoredAnswer(whole, EVENT_STREAM_TYPE))
        yield end
    except ServiceError as error:
        yield sse.frame(error_body(error))
    except Exception as error:  # the status has gone out: a bug, too, can only be an event now
        yield sse.frame(error_body(bug(error)))


class Stream:
    """The events of one answer; where it `is_kept`, and no longer than is kept, `whole` gives all of them again."""

    def __init__(self, head: Head, chat: ChatRequest, *, is_kept: bool) -> None:
        self._head = head
        self._chat = chat
        self._usage: dict[str, Any] = {"usage": None} if chat.include_usage else {}
        self._last: dict[str, Any] | None = None
        self._sent: list[bytes] | None = [] if is_kept else None
        self._sent_bytes = 0

    def opening(self) -> bytes:
        """Who speaks, of each choice."""
        return self._keep(b"".join([sse.frame(self._chunk([role_choice(choice)])) for choice in range(self._chat.n)]))

    def pieces(self, pieces: Pieces) -> bytes:
        """The next pieces; the last one of a choice waits, for the receipt rides on the last of all."""
        chunks = [] if self._last is None else [self._last]
        chunks += [self._chunk([delta_choice(pieces.choice, delta)]) for delta in pieces.deltas]
        self._last = chunks.pop() if pieces.deltas[-1].finish_reason is not None else None
        return self._keep(b"".join(map(sse.frame, chunks)))

    def end(self, event: Completed) -> bytes:
        """The last chunk, the usage where it was asked for, the receipt, and that this is all."""
        assert self._last is not None
        chunks = [self._last]
        if self._chat.include_usage:
            chunks.append(chunk(self._head, [], usage=usage_body(event.usage), sightline=extras(event)))
        else:
            chunks = [{**self._last, "sightline": extras(event)}]
        return self._keep(b"".join(map(sse.frame, chunks)) + sse.DONE)

    def whole(self) -> bytes | None:
        """Everything so far; None where it is not kept."""
        return None if self._sent is None else b"".join(self._sent)

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return chunk(self._head, choices, **self._usage)

    def _keep(self, made: bytes) -> bytes:
        if self._sent is not None:
            self._sent.append(made)
            self._sent_bytes += len(made)
            if self._sent_bytes > MAX_STORED_BYTES:
                self._sent = None
        return made


def extras(event: Completed) -> dict[str, Any]:
    """What we say beside OpenAI's fields: the receipt, and where the time went in milliseconds."""
    said = {"images": event.images, "cost": cost_body(event.cost), "timings": event.timings.in_ms()}
    if event.evidence is not None:
        said["evidence"] = [evidence_body(one.evidence, one.choice, one.tool_call) for one in event.evidence]
    if event.pages is not None:
        said["lines"] = [lines_body(page, number) for number, page in enumerate(event.pages, start=1)]
    return said


def preview_body(model: str, preview: Preview) -> dict[str, Any]:
    """The answer of the preflight: the prompt's tokens, the receipt, the prompt's cost."""
    usage = usage_body(preview.usage)
    return {
        "object": "chat.completion.input_tokens",
        "model": model,
        "input_tokens": preview.usage.prompt_tokens,
        "input_tokens_details": usage["prompt_tokens_details"],
        "images": preview.images,
        "cost": cost_body(preview.cost),
    }


def cost_body(cost: Cost) -> dict[str, Any]:
    """Money as decimal strings of US dollars; the parts add up to the total."""
    return {
        "currency": "USD",
        "prompt": _dollars(cost.prompt_nanos),
        "completion": _dollars(cost.completion_nanos),
        "total": _dollars(cost.total_nanos),
    }
