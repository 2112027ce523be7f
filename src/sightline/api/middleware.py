"""What happens to every request: an id, an access log line, and an end when the client leaves.

Plain ASGI: each is a class that holds `app` and has one `__call__`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline import metrics
from sightline.account import Client
from sightline.admission.limits import rate_headers
from sightline.api.body import header
from sightline.api.cycle import ON_LEAVE
from sightline.api.failures import answer_to, bug
from sightline.core import tenths_of_ms
from sightline.ids import new_id
from sightline.log import REQUEST_ID, get_logger
from sightline.timers import Later

log = get_logger(__name__)

OnLeave = Callable[[Callable[[], None] | None], None]

_ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_WATCH_AFTER_S = 0.005
_NONE: dict[str, OnLeave] = {}


class RequestLog:
    """Gives a request its id and start time, puts them on the answer, and logs one line at its end.

    What a request fails with becomes its answer here; our own bugs too, of which only the log says more.

    Within, `scope["state"]` has its `request_id`, and once an answer has begun the answer's `status`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        sent = header(scope, b"x-request-id")
        request_id = sent if sent and _ACCEPTED_ID.fullmatch(sent) else new_id("req_")
        state = scope.setdefault("state", {})
        state["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                ms = round((time.monotonic() - began) * 1000)
                ours = [(b"x-request-id", request_id.encode()), (b"openai-processing-ms", b"%d" % ms)]
                call = state.get("call")
                if call is not None and (call.requests or call.tokens):
                    ours += rate_headers(call.requests, call.tokens)
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        bound = REQUEST_ID.set(request_id)
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if "status" in state:  # nobody is told any more
                bug(error)
            else:
                await answer_to(error)(scope, receive, send_with_id)
        finally:
            seconds = time.monotonic() - began
            status = state.get("status", 499)  # the client left before an answer began
            route = scope.get("route")
            metrics.request_ended("other" if route is None else route.path, status, seconds)
            if self._log is None:
                self._log = log.bind()  # once: by itself it is looked up at every call
            self._log.info(
                "request", method=scope["method"], path=scope["path"], status=status, ms=tenths_of_ms(seconds)
            )
            REQUEST_ID.reset(bound)


class EndWithClient:
    """Cancels the work on a request when its client leaves, whether it waits, decodes or streams.

    Our own server says when a client is gone (`cycle.ON_LEAVE`). Another has to be asked: its body is read through this
    first, and only then is the connection watched, in a task, and some milliseconds later: most requests that run no
    model are over by then. One timer does for all of them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._read: Later[Watch] = Later(_WATCH_AFTER_S, Watch.begin)  # whose bodies have been read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Taken out: the cycle holds the scope, and a ring of them would keep bodies until the collector comes by.
        on_leave: OnLeave | None = (scope.get("extensions") or _NONE).pop(ON_LEAVE, None)
        running: Running
        if on_leave is None:
            running = watch = Watch(self._read, receive)
            receive = watch.receive
        else:
            running = Running(Client(has_left=False))
            on_leave(running.leave)
        scope.setdefault("state", {})["client"] = running.client
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not running.client.has_left:
                raise
            running.task.uncancel()
        finally:
            if on_leave is None:
                watch.end()
            else:
                on_leave(None)


class Running:
    """A request, whose task is cancelled when its client leaves."""

    __slots__ = ("client", "task")

    def __init__(self, client: Client) -> None:
        self.client = client
        self.task: asyncio.Task[None] = asyncio.current_task()  # type: ignore[assignment]

    def leave(self) -> None:
        """The client has left; it can be told several times."""
        if not self.client.has_left:
            self.client.has_left = True
            self.task.cancel()


class Watch(Running):
    """Listens on a connection once the body is read, to see whether the client leaves."""

    __slots__ = ("_is_over", "_is_read", "_read", "_receive", "_watcher")

    def __init__(self, read: Later[Watch], receive: Receive) -> None:
        super().__init__(Client())
        self._read = read
        self._receive = receive
        self._is_read = self._is_over = False
        self._watcher: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """Receive a piece of the body; after the last one this waits for ever, the watcher has the connection."""
        if not self._is_read:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.leave()
            else:
                if not message.get("more_body", False):
                    self._is_read = True
                    self._read.add(self)
                return message
        return await self.task.get_loop().create_future()  # type: ignore[no-any-return]

    def begin(self) -> None:
        """Listen, unless the request is over."""
        if not self._is_over:
            self._watcher = self.task.get_loop().create_task(self._until_left())

    def end(self) -> None:
        """Stop listening: the request is over."""
        self._is_over = True
        if self._watcher is not None:
            self._watcher.cancel()

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()
