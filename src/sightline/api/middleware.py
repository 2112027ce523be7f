"""What happens to every request: an id, an access log line, and an end when the client leaves.

Plain ASGI: each is a class that holds `app` and has one `__call__`.
"""

from __future__ import annotations

import re
import time

import anyio
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.ids import new_id
from sightline.log import get_logger

log = get_logger(__name__)

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestLog:
    """Gives a request its id and start time, puts them on the answer, and logs one line at its end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _ACCEPTED_ID.fullmatch(sent) else new_id("req_")
        scope.setdefault("state", {})["request_id"] = request_id
        status = 499  # the client left before an answer began

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["openai-processing-ms"] = str(round((time.monotonic() - began) * 1000))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                ms = round((time.monotonic() - began) * 1000, 1)
                log.info("request", method=scope["method"], path=scope["path"], status=status, ms=ms)


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
        body_read = anyio.Event()

        async with anyio.create_task_group() as group:

            async def receive_body() -> Message:
                if body_read.is_set():
                    await anyio.sleep_forever()  # the watcher has the connection now
                message = await receive()
                if message["type"] == "http.disconnect":
                    group.cancel_scope.cancel()
                    await anyio.sleep_forever()
                if not message.get("more_body", False):
                    body_read.set()
                return message

            async def watch() -> None:
                await body_read.wait()
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await self._app(scope, receive_body, send)
            group.cancel_scope.cancel()
