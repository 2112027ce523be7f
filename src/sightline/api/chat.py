"""`POST /v1/chat/completions`: the key, the body, and the service's stream as one answer or as events.

And `…/input_tokens`, which takes the same body and says what it would use. Plain ASGI: Starlette's `Request` and
`Response` take as long as reading and checking a short body.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from starlette.types import Receive, Scope, Send

from sightline.account import Call
from sightline.admission.keys import ApiKey
from sightline.admission.limits import LimitReached
from sightline.api.answer import EVENT_STREAM_TYPE, collect, frames, preview_body
from sightline.api.body import header, headers, read_json_body
from sightline.api.caller import allow_model, caller
from sightline.api.runtime import Runtime, runtime_of
from sightline.core import ChatRequest
from sightline.engines.catalogue import check
from sightline.errors import InvalidRequest, ServiceError, UnsupportedParameter
from sightline.ids import new_id
from sightline.images.source import open_image
from sightline.metering.ledger import IdempotencyKey, Replay
from sightline.wire.parse import RefusedChat, parse_chat
from sightline.wire.render import Head, encode

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_EVENT_STREAM = [
    (b"content-type", EVENT_STREAM_TYPE.encode()),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class ChatCompletions:
    """Answers a chat request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        runtime = runtime_of(scope)
        chat, call = await _read(runtime, scope, receive)
        events = runtime.service.run(chat, call)
        head = Head(new_id("chatcmpl-"), int(time.time()), runtime.service.catalogue.resolve(chat.model))
        try:
            if not chat.stream:
                await send_body(send, await collect(head, chat, call, events))
                return
            # What fails before the first piece is a plain error; from then on it is an event of the stream.
            first = await anext(events)
        except Replay as replay:
            await send_body(send, replay.answer, replay.media_type, [(b"idempotent-replayed", b"true")])
            return
        await send_events(send, frames(head, chat, call, first, events))


class InputTokens:
    """Says what a chat request would use, without running the model."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        runtime = runtime_of(scope)
        chat, call = await _read(runtime, scope, receive, runs=False)
        preview = await runtime.service.preview(chat, call)
        await send_body(send, encode(preview_body(runtime.service.catalogue.resolve(chat.model), preview)))


async def _read(runtime: Runtime, scope: Scope, receive: Receive, *, runs: bool = True) -> tuple[ChatRequest, Call]:
    """Check key, room and limit, then read and parse the body: an anonymous caller cannot make us parse.

    Lines that are full refuse what is to run, unless it may have had its answer.
    """
    key = await caller(scope, "inference")
    state = scope["state"]
    traceparent = header(scope, b"traceparent")
    call = state["call"] = Call(state["request_id"], key, traceparent=traceparent, client=state["client"])
    admission = runtime.admission
    models: tuple[str, ...] = ()
    if admission.is_any_full() and runs and not headers(scope, b"idempotency-key"):
        models = tuple(model.id for model in runtime.service.catalogue.models())
    if (refusal := admission.would_refuse(key.id, key.limits.max_in_flight, models)) is not None:
        raise refusal
    try:
        call.requests = await runtime.limits.take_request(key.id, key.limits)
    except LimitReached as reached:
        call.requests = reached.window
        raise
    body = await read_json_body(scope, receive, runtime.settings.server.max_body_bytes)
    known = partial(runtime.pictures.facts, owner=key.id)
    try:
        chat = parse_chat(body, partial(open_image, limits=runtime.settings.images, facts_of=known))
    except RefusedChat as refused:
        raise _with_lacks(runtime, scope, key, refused) from None
    allow_model(scope, key, chat.model)
    call.once = _once(scope, body)
    return chat, call


def _with_lacks(runtime: Runtime, scope: Scope, key: ApiKey, refused: RefusedChat) -> InvalidRequest:
    """What is wrong with a body, and what its model lacks of what can be read of it: all in one answer."""
    if (draft := refused.draft) is not None:
        try:
            allow_model(scope, key, draft.model)
            check(draft, runtime.service.catalogue.find(draft.model, key.models)[1])
        except InvalidRequest as lacks:
            # What no model takes is refused already.
            named = {problem.param for problem in refused.problems if problem.code == UnsupportedParameter.code}
            more = [problem for problem in lacks.problems if problem.param not in named]
            return InvalidRequest.of([*refused.problems, *more])
        except ServiceError:
            pass  # of a model that the key may not use, or that cannot be asked now, there is nothing to say
    return refused


def _once(scope: Scope, body: bytes) -> IdempotencyKey | None:
    """The request's Idempotency-Key, with the digest of the body that it stands for.

    Raises:
        InvalidRequest: it is empty, too long or not printable, or has blanks.
    """
    sent = headers(scope, b"idempotency-key")
    if not sent:
        return None
    if len(sent) > 1 or not _IDEMPOTENCY_KEY.fullmatch(sent[0]):
        raise InvalidRequest(
            f"An Idempotency-Key is 1 to 255 printable ASCII characters without blanks, sent once; "
            f"this one has {len(sent[0])}."
        )
    return IdempotencyKey(sent[0], hashlib.sha256(body).digest())


async def send_body(
    send: Send, body: bytes, media_type: str = "application/json", more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Answer 200 with a whole body."""
    headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_events(send: Send, source: AsyncGenerator[bytes, None]) -> None:
    """Send frames as they come, and close their source however the sending ends."""
    async with aclosing(source):
        await send({"type": "http.response.start", "status": 200, "headers": _EVENT_STREAM})
        async for frame in source:
            if frame:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
