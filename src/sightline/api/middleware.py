"""What happens to every request: an id, an access log line, and an end when the client leaves.

Plain ASGI: each is a class that holds `app` and has one `__call__`.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline import metrics
from sightline.admission.limits import rate_headers
from sightline.api.body import header
from sightline.ids import new_id
from sightline.log import REQUEST_ID, get_logger

log = get_logger(__name__)

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_WATCH_AFTER_S = 0.005


class RequestLog:
    """Gives a request its id and start time, puts them on the answer, and logs one line at its end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        sent = header(scope, b"x-request-id")
        request_id = sent if _ACCEPTED_ID.fullmatch(sent) else new_id("req_")
        scope.setdefault("state", {})["request_id"] = request_id
        status = 499  # the client left before an answer began

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ms = round((time.monotonic() - began) * 1000)
                ours = [(b"x-request-id", request_id.encode()), (b"openai-processing-ms", b"%d" % ms)]
                call = scope["state"].get("call")
                if call is not None:
                    limits = rate_headers(call.requests, call.tokens)
                    ours += [(name.encode(), value.encode()) for name, value in limits.items()]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        bound = REQUEST_ID.set(request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.monotonic() - began
            metrics.request_ended(getattr(scope.get("route"), "path", "other"), status, seconds)
            ms = round(seconds * 1000, 1)
            log.info("request", method=scope["method"], path=scope["path"], status=status, ms=ms)
            REQUEST_ID.reset(bound)


class EndWithClient:
    """Cancels the work on a request when its client leaves, whether it waits, decodes or streams.

    The body is read through this first; only then does it watch the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = Watch(receive)
        try:
            await self._app(scope, watch.receive, send)
        except asyncio.CancelledError:
            if not watch.client_left:
                raise
            watch.request.uncancel()
        finally:
            watch.end()


class Watch:
    """Listens on a connection once the body is read, and cancels the request's task when the client leaves.

    It begins a few milliseconds later: most requests that run no model are over by then, and cost no task.
    """

    def __init__(self, receive: Receive) -> None:
        self.client_left = False
        self.request = cast("asyncio.Task[None]", asyncio.current_task())
        self._receive = receive
        self._begin: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """Receive a piece of the body; after the last one this waits for ever, the watcher has the connection."""
        if self._begin is None:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._leave()
            else:
                if not message.get("more_body", False):
                    self._begin = asyncio.get_running_loop().call_later(_WATCH_AFTER_S, self._watch)
                return message
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    def end(self) -> None:
        """Stop listening: the request is over."""
        if self._begin is not None:
            self._begin.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _watch(self) -> None:
        self._watcher = asyncio.create_task(self._until_left())

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self.client_left = True
        self.request.cancel()
