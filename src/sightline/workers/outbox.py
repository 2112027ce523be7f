"""Messages that go out together: all of one turn of the event loop in one write.

A write and a wake-up of the other side cost more than ten messages; under load a turn has several.
"""

from __future__ import annotations

import asyncio

from sightline.engines.channel import Channel, frame


class Outbox:
    """Sends on a channel what was put in, at the end of the turn."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: list[bytes] = []

    def put(self, message: bytes) -> None:
        """Have `message` go out with the others."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(frame(message))

    def flush(self) -> None:
        """Send now what waits."""
        waiting, self._waiting = self._waiting, []
        self._channel.write(b"".join(waiting))
