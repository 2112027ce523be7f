"""Decodes pictures in child processes: bounded in number, time and memory, off the event loop.

A picture that kills or outlasts its process is that request's error alone; the pool replaces the process.
"""

from __future__ import annotations

import asyncio
import os
import resource
from concurrent.futures import TimeoutError as PoolTimeout
from multiprocessing import get_context

from pebble import ProcessExpired, ProcessPool

from sightline.core import EncodedImage, ImageEncoding
from sightline.errors import ImageUndecodable
from sightline.images.decode import Decoded, Undecodable, decode

_DECODE_S = 10.0
_ADDRESS_SPACE_BYTES = 2 << 30


class ImagePool:
    """A pool of decoding processes; `async with` starts and ends it."""

    def __init__(self, workers: int | None = None) -> None:
        self._pool = ProcessPool(
            max_workers=workers or max(1, (os.cpu_count() or 1)),
            initializer=_limit_memory,
            context=get_context("spawn"),
        )

    async def __aenter__(self) -> ImagePool:
        # The first task starts the processes, half a second that no request should wait.
        await asyncio.wrap_future(self._pool.schedule(_ready))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.stop()
        await asyncio.to_thread(self._pool.join)

    async def decode(self, image: EncodedImage, encoding: ImageEncoding, number: int) -> Decoded:
        """Decode image `number` of a request to what the model sees. Cancelling frees the process.

        Raises:
            ImageUndecodable: the bytes do not decode, or not within the time and memory allowed.
        """
        future = self._pool.schedule(decode, args=(image.data, image.type, encoding), timeout=_DECODE_S)
        try:
            decoded: Decoded = await asyncio.wrap_future(future)
        except (Undecodable, PoolTimeout, ProcessExpired, MemoryError) as error:
            raise ImageUndecodable(
                f"image {number} does not decode: it begins like a {image.type} and is cut short or damaged. "
                "Open it and save it again.",
                param=image.param,
            ) from error
        return decoded


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))


def _ready() -> None:
    """Do nothing: shows that a process is up."""
