"""What happens to every request: an id, an access log line, and an end when its client disconnects.

Plain ASGI: each is a class that holds `app` and has one `__call__`.
"""

from __future__ import annotations

import asyncio
import re
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from sightline import metrics
from sightline.api.failures import bug, response_of
from sightline.core import ConnectionState, tenths_of_ms
from sightline.ids import new_id
from sightline.log import get_logger

log = get_logger(__name__)

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestLogMiddleware:
    """Gives a request its id, puts it and the time taken on the answer, and logs one line at the request's end.

    Within, `request.state` has its `request_id` and its `rate_limits`: headers that an endpoint may set, for whatever
    answer begins. The last resort of a bug is here: it is logged, and answered in OpenAI's shape.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        # A slash at the end changes nothing: Starlette's redirect would name the host header, and http behind a proxy.
        scope["path"] = scope["path"].removesuffix("/") or "/"
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _ACCEPTED_ID.fullmatch(sent) else new_id("req_")
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, rate_limits=[])
        status = 499  # the client left before an answer began

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ms = round((time.monotonic() - began) * 1000)
                ours = [(b"x-request-id", request_id.encode()), (b"openai-processing-ms", b"%d" % ms)]
                message["headers"] = [*message["headers"], *ours, *state["rate_limits"]]
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception as error:
                response = response_of(bug(error))
                if status == 499:
                    await response(scope, receive, send_with_id)
            finally:
                seconds = time.monotonic() - began
                route = scope.get("route")
                metrics.request_ended("other" if route is None else route.path, status, seconds)
                log.info("request", method=scope["method"], path=scope["path"], status=status, ms=tenths_of_ms(seconds))


class CancelOnDisconnectMiddleware:
    """Cancels the work on a request when its client disconnects, whether it waits, decodes or streams.

    A server says so when it is asked for more than the body, so that the connection is listened to in a task from the
    body's end on. `request.state.connection` says whether the client has disconnected. With `is_told` False the server
    may cancel a request without saying why, and a request that is cancelled is taken to have lost its client.
    """

    def __init__(self, app: ASGIApp, *, is_told: bool = True) -> None:
        self._app = app
        self._is_told = is_told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = _Watch(ConnectionState(False if self._is_told else None), receive)
        scope["state"]["connection"] = watch.connection
        try:
            await self._app(scope, watch.receive, send)
        except asyncio.CancelledError:
            if not watch.connection.disconnected:
                raise
            watch.task.uncancel()
        finally:
            watch.stop()


class _Watch:
    """A request's messages on their way in, and its task, which ends with its client."""

    def __init__(self, connection: ConnectionState, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connection = connection
        self.task = task
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """Receive a piece of the body; after the last one this waits for ever, for the listener has the connection."""
        if self._listener is None and not self.connection.disconnected:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._disconnect()
            else:
                if not message.get("more_body", False):
                    self._listener = asyncio.create_task(self._listen())
                return message
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    def stop(self) -> None:
        """The request is over."""
        if self._listener is not None:
            self._listener.cancel()

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnect()

    def _disconnect(self) -> None:
        self.connection.disconnected = True
        self.task.cancel()
