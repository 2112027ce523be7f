"""`POST /v1/chat/completions`: the key, the body, and the pipeline's events as one answer or as events.

And `…/input_tokens`, which takes the same body and says what it would use.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from sightline.admission.rate_limits.limiter import LimitReached, rate_headers
from sightline.api.answer import EVENT_STREAM_TYPE, collect, frames, preview_body
from sightline.api.auth import allow_model, authenticate
from sightline.api.body import read_json_body
from sightline.api.runtime import Runtime, runtime_of
from sightline.auth.keys import ApiKey
from sightline.core import ChatRequest
from sightline.engines.catalogue import check
from sightline.errors import InvalidRequest, ServiceError, UnsupportedParameter
from sightline.ids import new_id
from sightline.images.source import open_image
from sightline.metering.ledger import IdempotencyKey, Replay
from sightline.pipeline.context import RequestContext
from sightline.wire.parse import RefusedChat, parse_chat
from sightline.wire.render import Head, encode

_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_NOT_BUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class EventStream(StreamingResponse):
    """Server-sent events. Starlette's own would listen for a disconnect beside `CancelOnDisconnectMiddleware`."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, headers=_NOT_BUFFERED, media_type=EVENT_STREAM_TYPE)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await self.stream_response(send)


async def create_chat_completion(request: Request) -> Response:
    """Answer a chat request."""
    runtime = runtime_of(request)
    chat, context = await _read(request)
    events = runtime.pipeline.run(chat, context)
    head = Head(new_id("chatcmpl-"), int(time.time()), runtime.pipeline.catalogue.resolve(chat.model))
    try:
        if not chat.stream:
            return Response(await collect(head, chat, events), media_type="application/json")
        # What fails before the first piece is a plain error; from then on it is an event of the stream.
        first = await anext(events)
    except Replay as replay:
        return Response(replay.answer, headers={"idempotent-replayed": "true"}, media_type=replay.media_type)
    return EventStream(frames(head, chat, first, events, is_stored=context.idempotency_key is not None))


async def count_input_tokens(request: Request) -> Response:
    """Say what a chat request would use, without running the model."""
    pipeline = runtime_of(request).pipeline
    chat, context = await _read(request, runs=False)
    preview = await pipeline.preview(chat, context)
    return Response(
        encode(preview_body(pipeline.catalogue.resolve(chat.model), preview)), media_type="application/json"
    )


async def _read(request: Request, *, runs: bool = True) -> tuple[ChatRequest, RequestContext]:
    """Check key, capacity and limit, then read and parse the body: an anonymous caller cannot make us parse.

    Queues that are full refuse what is to run, unless it may have had its answer. Whatever the answer is, it says how
    the key's limits stand.
    """
    runtime = runtime_of(request)
    key = await authenticate(request, "inference")
    is_new = runs and "idempotency-key" not in request.headers
    models = [model.id for model in runtime.pipeline.catalogue.models()] if is_new else []
    runtime.admission.check_capacity(key.id, key.limits.max_in_flight, models)
    await _take_request(request, key)
    body = await read_json_body(request, runtime.settings.server.max_body_bytes)
    try:
        chat = parse_chat(body, partial(open_image, limits=runtime.settings.images))
    except RefusedChat as refused:
        raise _with_lacks(runtime, request, key, refused) from None
    allow_model(request, key, chat.model)
    rate_limits = request.state.rate_limits
    context = RequestContext(
        request_id=request.state.request_id,
        key=key,
        connection=request.state.connection,
        idempotency_key=_idempotency_key(request, body),
        traceparent=request.headers.get("traceparent", ""),
        on_token_limit=lambda status: rate_limits.extend(rate_headers(None, status)),
    )
    return chat, context


async def _take_request(request: Request, key: ApiKey) -> None:
    """Count the request towards the key's limit a minute."""
    rate_limits = request.state.rate_limits
    try:
        status = await runtime_of(request).limits.take_request(key.id, key.limits)
    except LimitReached as reached:
        rate_limits.extend(rate_headers(reached.limit_status, None))
        raise
    rate_limits.extend(rate_headers(status, None))


def _with_lacks(runtime: Runtime, request: Request, key: ApiKey, refused: RefusedChat) -> InvalidRequest:
    """What is wrong with a body, and what its model lacks of what can be read of it: all in one answer."""
    if (draft := refused.draft) is not None:
        try:
            allow_model(request, key, draft.model)
            check(draft, runtime.pipeline.catalogue.find(draft.model, key.models)[1])
        except InvalidRequest as lacks:
            # What no model takes is refused already.
            named = {problem.param for problem in refused.problems if problem.code == UnsupportedParameter.code}
            more = [problem for problem in lacks.problems if problem.param not in named]
            return InvalidRequest.of([*refused.problems, *more])
        except ServiceError:
            pass  # of a model that the key may not use, or that cannot be asked now, there is nothing to say
    return refused


def _idempotency_key(request: Request, body: bytes) -> IdempotencyKey | None:
    """The request's Idempotency-Key, with the digest of the body that it stands for.

    Raises:
        InvalidRequest: it is empty, too long or not printable, or has blanks.
    """
    sent = request.headers.getlist("idempotency-key")
    if not sent:
        return None
    if len(sent) > 1 or not _IDEMPOTENCY_KEY.fullmatch(sent[0]):
        raise InvalidRequest(
            f"An Idempotency-Key is 1 to 255 printable ASCII characters without blanks, sent once; "
            f"this one has {len(sent[0])}."
        )
    return IdempotencyKey(sent[0], hashlib.sha256(body).digest())
