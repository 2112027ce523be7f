"""A caller of an ASGI application who sends a body piece by piece and can leave at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message


class Call:
    """One request in flight. `sent` are the application's messages so far."""

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        headers: Iterable[tuple[str, str]] = (),
        method: str = "POST",
    ) -> None:
        self.sent: list[Message] = []
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._news = asyncio.Condition()
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    def body(self, data: bytes, *, more: bool = False) -> None:
        """Send a piece of the body."""
        self._inbox.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def leave(self) -> None:
        """Close the connection."""
        self._inbox.put_nowait({"type": "http.disconnect"})

    async def frames(self, count: int) -> None:
        """Wait until the application has sent so many pieces of an answer."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.pieces()) >= count)

    def pieces(self) -> list[bytes]:
        """The pieces of the answer so far."""
        return [message["body"] for message in self.sent if message["type"] == "http.response.body"]

    @property
    def status(self) -> int | None:
        """The status that went out, if one did."""
        return next((int(m["status"]) for m in self.sent if m["type"] == "http.response.start"), None)

    async def _receive(self) -> Message:
        message = await self._inbox.get()
        if message["type"] == "http.disconnect":
            self._inbox.put_nowait(message)  # a server says so again each time it is asked
        return message

    async def _send(self, message: Message) -> None:
        async with self._news:
            self.sent.append(message)
            self._news.notify_all()
        await asyncio.sleep(0)


async def until(predicate: Any, timeout_s: float = 10.0) -> None:
    """Wait for a condition that announces itself by no event, looking at every turn of the loop."""
    async with asyncio.timeout(timeout_s):
        while not predicate():
            await asyncio.sleep(0.001)
