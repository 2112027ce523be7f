"""Bodies as they arrive: each has a deadline, and all together a limit of bytes held in memory.

When the limit is reached, the upload that has been silent for longest makes room: thousands of clients that stop
in the middle of a body take nothing from those that send theirs. Knows nothing of what a body means.
"""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.errors import RequestTimeout, UploadRefused
from sightline.settings_validation import LARGE_SHARE

_SMALL_BYTES = 4096
"""An upload that holds less is not worth dropping: all the connections there may be hold less than the limit so."""


class BodyBudget:
    """How many bytes of bodies are held, and which upload makes room when there are too many.

    Bytes count from the moment that they are received to the end of their request, since an answer's images and
    text are views of the body. An upload that has sent nothing for `silent_s` may be dropped for another's sake.
    """

    def __init__(self, max_buffered_bytes: int, body_timeout_s: float, *, silent_s: float = 1.0) -> None:
        self.body_timeout_s = body_timeout_s
        self.silent_s = silent_s
        self.held_bytes = 0
        self._max_held_bytes = max_buffered_bytes
        self._max_held_by_large_bytes = int(max_buffered_bytes * LARGE_SHARE)
        self._arriving: dict[Upload, None] = {}  # the one that has been silent for longest comes first
        self._begun: dict[Upload, None] = {}  # the one that is due first comes first: all have the same time
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, upload: Upload) -> None:
        """Watch over the time of an upload; one timer does for all of them."""
        self._begun[upload] = None
        if self._timer is None:
            self._wake_at(upload.due_s)

    def reserve(self, upload: Upload, size_bytes: int) -> None:
        """Count another piece of `upload`, and drop silent uploads until there is room for it.

        Raises:
            UploadRefused: there is none to drop.
        """
        self._arriving.pop(upload, None)
        upload.held_bytes += size_bytes
        self.held_bytes += size_bytes
        is_large = upload.held_bytes > _SMALL_BYTES
        limit_bytes = self._max_held_by_large_bytes if is_large else self._max_held_bytes
        while self.held_bytes > limit_bytes:
            silent = next(iter(self._arriving), None)
            if silent is None or not silent.drop():
                raise UploadRefused(
                    "The service holds as many bytes of other requests' bodies as it may. Send the request again.",
                    retry_after_s=1,
                )
            del self._arriving[silent]
            self._free(silent)
        if not upload.is_arriving:
            self._begun.pop(upload, None)
        elif is_large:
            self._arriving[upload] = None

    def _end_overdue(self) -> None:
        self._timer = None
        now_s = time.monotonic()
        for upload in list(self._begun):
            if upload.due_s > now_s:
                self._wake_at(upload.due_s)
                return
            del self._begun[upload]
            upload.give_up()

    def _wake_at(self, due_s: float) -> None:
        wait_s = due_s - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._end_overdue)

    def release(self, upload: Upload) -> None:
        """The upload's request is over."""
        self._arriving.pop(upload, None)
        self._begun.pop(upload, None)
        self._free(upload)

    def _free(self, upload: Upload) -> None:
        self.held_bytes -= upload.held_bytes
        upload.held_bytes = 0


class BodyBudgetMiddleware:
    """The innermost middleware: what it raises while a body is read is answered as any failure."""

    def __init__(self, app: ASGIApp, budget: BodyBudget) -> None:
        self._app = app
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upload = Upload(self._budget, receive)
        try:
            await self._app(scope, upload.receive, send)
        finally:
            self._budget.release(upload)


class Upload:
    """One request's body on its way in."""

    __slots__ = (
        "_budget",
        "_is_dropped",
        "_is_given_up",
        "_is_waiting",
        "_latest_s",
        "_receive",
        "_task",
        "due_s",
        "held_bytes",
        "is_arriving",
    )

    def __init__(self, budget: BodyBudget, receive: Receive) -> None:
        self.held_bytes = 0
        self.is_arriving = True
        self._budget = budget
        self._receive = receive
        self._latest_s = time.monotonic()
        self.due_s = self._latest_s + budget.body_timeout_s
        self._task: asyncio.Task[None] | None = None
        self._is_waiting = self._is_given_up = self._is_dropped = False

    async def receive(self) -> Message:
        """Receive a piece of the body; once it is whole, whatever comes.

        Raises:
            RequestTimeout: it was not whole in time.
            UploadRefused: there is no room for it.
        """
        if not self.is_arriving:
            return await self._receive()
        if self._task is None:
            self._task = asyncio.current_task()
            self._budget.begin(self)
        if self._is_given_up:
            raise self._refusal()
        self._is_waiting = True
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if self._is_given_up and self._task is not None and not self._task.uncancel():
                raise self._refusal() from None
            raise
        finally:
            self._is_waiting = False
        self._latest_s = time.monotonic()
        self.is_arriving = message.get("more_body", False)
        self._budget.reserve(self, len(message.get("body", b"")))
        return message

    def drop(self) -> bool:
        """Stop waiting for this upload; False when it has sent something a moment ago."""
        if not self._is_waiting or time.monotonic() - self._latest_s < self._budget.silent_s:
            return False
        self._is_dropped = True
        self.give_up()
        return True

    def give_up(self) -> None:
        """End the waiting for this upload, now or with the next piece that is asked for."""
        if not self._is_given_up:
            self._is_given_up = True
            if self._is_waiting and self._task is not None:
                self._task.cancel()

    def _refusal(self) -> UploadRefused | RequestTimeout:
        if self._is_dropped:
            return UploadRefused(
                "The body stopped arriving while the service had no room for further bodies. Send the request again.",
                retry_after_s=1,
            )
        return RequestTimeout(
            f"The body did not arrive within {self._budget.body_timeout_s:g} seconds. "
            "Send it faster, or make it smaller: save pictures as JPEG or WebP, or run `sightline fit`."
        )
