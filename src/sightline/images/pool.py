"""Decodes pictures in child processes: bounded in number, time and memory, off the event loop.

A picture that kills or outlasts its process is that request's error alone; the pool replaces the process. A process
that was killed from outside is no picture's fault.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from concurrent.futures import TimeoutError as PoolTimeout
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing.context import SpawnContext
from typing import Any

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from sightline.core import EncodedImage, ImageEncoding
from sightline.errors import ConfigError, EngineOverloaded, ImageUndecodable
from sightline.images.decode import Decoded, Undecodable, decode
from sightline.images.recode import recode
from sightline.images.source import undecodable
from sightline.malloc import configure_malloc_trim

_DECODE_S = 10.0
_WAIT_S = 60.0
"""For a picture to be decoded, with those before it."""
_LOOK_S = 1.0
"""How often a picture that waits looks whether anybody will decode it."""
_BEHIND = "Pictures are decoded too slowly at this moment; send the request again in a while."
_KILLED = (
    "The process that decodes pictures was killed twice, as the system does for want of memory; send the request again "
    "in a while."
)
_TOO_SLOW = f"takes longer than the limit of {_DECODE_S:g} seconds to decode"
_TOO_LARGE = "needs more memory to decode than the limit of 2 GB"
_LARGE_PX = 4_000_000
_MOST_PICTURES = 2_000
_ADDRESS_SPACE_BYTES = 2 << 30


class ImagePool:
    """A pool of decoding processes; `async with` starts and ends it."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or max(2, os.cpu_count() or 1)
        self._pool = _processes(self._workers)
        # Two at once would be twice the memory; small ones go past them on the other processes.
        self._large = asyncio.Semaphore(1)
        self._is_over = False

    async def __aenter__(self) -> ImagePool:
        # The first task starts the processes, half a second that no request should wait, nor anything else.
        self._first = self._pool.schedule(_ready)
        return self

    async def ready(self) -> None:
        """Return when its processes are up.

        Raises:
            ConfigError: they cannot be started.
        """
        try:
            await asyncio.wrap_future(self._first)
        except (BrokenProcessPool, ProcessExpired, RuntimeError) as error:
            raise ConfigError(f"The processes that decode pictures cannot be started: {error}") from error

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        self._pool.stop()
        await asyncio.to_thread(self._pool.join)

    async def decode(self, image: EncodedImage, encoding: ImageEncoding, number: int) -> Decoded:
        """Decode image `number` of a request to what the model sees of it for its `detail`, or to a file for the model.

        Cancelling drops a picture that waits; one being decoded is finished and forgotten, since ending its
        process would cost more than the rest of the picture.

        Raises:
            ImageUndecodable: the bytes do not decode, or not within the time and memory allowed.
            EngineOverloaded: too many others are before it, or its process was killed, and so was the next.
        """
        with suppress(BrokenProcessPool, ProcessExpired):
            return await self._run(image, encoding, number)
        try:
            return await self._run(image, encoding, number)
        except (BrokenProcessPool, ProcessExpired) as error:
            if isinstance(error, ProcessExpired) and error.exitcode != -signal.SIGKILL:
                raise undecodable(image, number) from error
            raise EngineOverloaded(_KILLED, retry_after_s=10) from error

    async def _run(self, image: EncodedImage, encoding: ImageEncoding, number: int) -> Decoded:
        future: ProcessFuture | None = None
        try:
            async with asyncio.timeout(_WAIT_S) as waiting:
                future = await self._begin(image, encoding)
                decoded = await self._outcome(future)
        except asyncio.CancelledError:
            if future is not None and not future.running():
                future.cancel()
            raise
        except (Undecodable, PoolTimeout, MemoryError) as error:
            if waiting.expired():  # too many are before it, or the pool was given up with this one in its queue
                if future is not None:
                    future.cancel()
                raise EngineOverloaded(_BEHIND, retry_after_s=10) from error
            raise _refusal(error, image, number) from error
        return decoded

    async def _outcome(self, future: ProcessFuture) -> Decoded:
        """Wait for what was just handed over.

        Raises:
            BrokenProcessPool: its pool was given up: pebble answers what it has handed on, not what is still queued.
        """
        pool, waited = self._pool, asyncio.shield(asyncio.wrap_future(future))
        try:
            while not (await asyncio.wait([waited], timeout=_LOOK_S))[0]:
                if not pool.active and not self._is_over and not future.done():
                    future.cancel()
                    raise BrokenProcessPool
            decoded: Decoded = await waited
            return decoded
        finally:
            waited.cancel()  # what nobody waits for any more may fail unheard

    async def _begin(self, image: EncodedImage, encoding: ImageEncoding) -> ProcessFuture:
        """Hand a picture to the processes; a large one when no other large one is there."""
        if image.width * image.height <= _LARGE_PX:
            return self._schedule(image, encoding)
        await self._large.acquire()
        try:
            future = self._schedule(image, encoding)
        except BaseException:
            self._large.release()
            raise
        # Not sooner: who leaves does not end the decoding.
        future.add_done_callback(partial(_release, self._large, asyncio.get_running_loop()))
        return future

    def _schedule(self, image: EncodedImage, encoding: ImageEncoding) -> ProcessFuture:
        """Hand a picture to the processes; to new ones if need be.

        A process that dies with nothing to do, killed for want of memory for example, makes pebble give up all of them.
        """
        work = recode if encoding.forwarded else decode
        task = {"args": (image.data, image.type, encoding, image.detail), "timeout": _DECODE_S}
        try:
            return self._pool.schedule(work, **task)
        except RuntimeError:
            self._pool.stop()
            self._pool = _processes(self._workers)
            return self._pool.schedule(work, **task)


def _release(place: asyncio.Semaphore, loop: asyncio.AbstractEventLoop, _: object) -> None:
    """Give a place back, from any thread."""
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(place.release)


class _Context(SpawnContext):
    """Keeps the locks of its processes: pebble drops them before it ends those that are still starting, and one that
    does not find its lock then writes a traceback on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self._locks: list[Any] = []

    def RLock(self) -> Any:
        self._locks.append(super().RLock())
        return self._locks[-1]


def _processes(workers: int) -> ProcessPool:
    # A process that has decoded thousands of damaged pictures has grown by megabytes: a new one takes its place.
    return ProcessPool(max_workers=workers, max_tasks=_MOST_PICTURES, initializer=_bound_memory, context=_Context())


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    # Else glibc keeps what a large picture has freed, up to a hundred megabytes a process.
    configure_malloc_trim(trim_bytes=4 << 20, mmap_bytes=1 << 20, arenas=2)


def _ready() -> None:
    """Do nothing: shows that a process is up."""


def _refusal(error: Exception, image: EncodedImage, number: int) -> ImageUndecodable:
    """Say why image `number` does not decode; that it is damaged only where nothing else is known."""
    if not isinstance(error, PoolTimeout | MemoryError):
        return undecodable(image, number)
    reason = _TOO_SLOW if isinstance(error, PoolTimeout) else _TOO_LARGE
    return ImageUndecodable(f"image {number} {reason}; make it smaller, or save it anew as PNG.", param=image.param)
