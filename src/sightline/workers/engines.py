"""One engine process that several workers ask: the parent watches over it, each worker has a channel of its own to it.

The parent hands the ends of a socket pair to a worker and to the engine's process, so that requests go between these
two and never through the parent.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

from sightline.engines.channel import Channel
from sightline.engines.messages import Ready, to_parent
from sightline.engines.process import ProcessEngine
from sightline.errors import EngineUnavailable
from sightline.settings import EngineSpec


class SharedEngine(ProcessEngine):
    """The parent's: `on_ready` is called whenever a process has answered its warm-up and may be asked."""

    def __init__(self, spec: EngineSpec, on_ready: Callable[[], None]) -> None:
        super().__init__(spec)  # which asks nothing itself, so that it is the workers who notice when it hangs
        self._on_ready = on_ready
        self._door: socket.socket | None = None

    def let_in(self) -> socket.socket:
        """A new end for somebody to ask by.

        Raises:
            EngineUnavailable: the engine is not ready; `on_ready` will be called.
        """
        if self._door is None or not self.models():
            raise EngineUnavailable("The engine is starting.")
        theirs, end = socket.socketpair()
        try:
            with end:
                socket.send_fds(self._door, [b"+"], [end.fileno()])
        except OSError as error:  # it has died in this moment
            theirs.close()
            raise EngineUnavailable("The engine has stopped.") from error
        return theirs

    def kill(self) -> None:
        """End the process, because a worker has found that it hangs; another is started."""
        if self.pid is not None:
            with suppress(ProcessLookupError):  # another worker has found so too
                os.kill(self.pid, signal.SIGKILL)

    async def _spawn(self, *ends: socket.socket) -> asyncio.subprocess.Process:
        door, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            child = await super()._spawn(*ends, theirs)
        self._door = door
        return child

    def _lose(self) -> None:
        super()._lose()
        if self._door is not None:
            self._door.close()
            self._door = None

    def _receive(self, head: bytes, raw: bytes) -> None:
        super()._receive(head, raw)
        if isinstance(to_parent.decode(head), Ready):
            self._on_ready()


class WorkerEngine(ProcessEngine):
    """A worker's: asks the process at the end that the parent has sent last; `on_hang` is to have it killed."""

    def __init__(self, spec: EngineSpec, silence_s: float, on_hang: Callable[[], None]) -> None:
        super().__init__(spec, silence_s)
        self._on_hang = on_hang
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Wait until the engine has answered its warm-up; from then on the parent keeps it alive."""
        self._started = asyncio.get_running_loop().create_future()
        if self.models():
            self._started.set_result(None)
        await self._started

    async def stop(self) -> None:
        """Hang up; the engine goes on for others."""
        self._lose()

    async def join(self, end: socket.socket) -> None:
        """Ask by `end` from now on."""
        self._lose()
        channel = Channel(self._receive, lambda: self._hang_up(channel))
        self._began_s = asyncio.get_running_loop().time()
        self._channel = channel
        self._watching = asyncio.create_task(self._watch(self._on_hang))
        await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=end)

    def _lose(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        super()._lose()

    def _hang_up(self, channel: Channel) -> None:
        if channel is self._channel:  # a new one may have come already
            self._lose()
