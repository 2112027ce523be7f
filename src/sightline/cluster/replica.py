"""A deployment whose replicas each run one engine; the fronts talk to it in messages, as to an engine's process.

A replica that cannot go on fails its health check, and Ray Serve starts another.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from sightline.engines.process.messages import Generate, Ready, encoder, to_child
from sightline.engines.process.request_handler import answers
from sightline.engines.registry import create
from sightline.errors import EngineTimeout, EngineUnavailable
from sightline.log import configure_logging
from sightline.settings import EngineSpec


class EngineReplica:
    """Runs the engine of `spec` in this process. What crosses are bytes: msgpack and raw pixels, never objects."""

    async def __init__(self, spec: EngineSpec, silence_s: float) -> None:  # type: ignore[misc]  # Ray Serve awaits it
        """Load: Ray Serve sends no request before this has returned.

        The engine may give no piece of any answer for `silence_s` of work before it is taken to hang.
        """
        configure_logging()
        self._silence_s = silence_s
        self._running = 0
        self._heard_s = time.monotonic()
        self._engine = create(spec)
        await self._engine.start()

    async def models(self) -> bytes:
        """The models that can answer, as a `Ready`."""
        return encoder.encode(Ready(tuple(self._engine.models())))

    async def generate(self, head: bytes, raw: bytes) -> AsyncGenerator[bytes, None]:
        """Answer the `Generate` in `head`, whose pixels are `raw`, in messages. Cancelling it ends the work."""
        message = to_child.decode(head)
        assert isinstance(message, Generate)
        if not self._running:
            self._hear()
        self._running += 1
        try:
            async with aclosing(answers(self._engine, message, raw)) as said:
                async for one in said:
                    self._hear()
                    yield encoder.encode(one)
        finally:
            self._running -= 1

    def _hear(self) -> None:
        self._heard_s = time.monotonic()

    def check_health(self) -> None:
        """Called by Ray Serve.

        Raises:
            EngineUnavailable, EngineTimeout: the engine cannot answer any more, or hangs; the replica is replaced.
        """
        if not self._engine.models():
            raise EngineUnavailable("The engine has stopped.")
        if self._running and time.monotonic() - self._heard_s > self._silence_s:
            raise EngineTimeout(f"The engine gave no piece of any answer for {self._silence_s:g} s.")

    async def __del__(self) -> None:
        """Called by Ray Serve when what runs has ended."""
        await self._engine.stop()
