"""The engine contract: pixels and messages in, pieces of an answer out.

Everything that runs a model fits behind these five members; the service knows nothing else of an engine.
An engine never sees HTTP, keys, prices or encoded images, and never fetches anything.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from sightline.core import Delta, GenerateRequest, ModelInfo, Usage

MAX_READY = 256
"""Pieces that are taken at once: what is made of them waits in memory for a client that reads slowly."""


class Deltas(Protocol):
    """The pieces of an answer as they are made: an asynchronous iterator that can be closed, as generators are."""

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    def __anext__(self) -> Awaitable[Delta]: ...

    def aclose(self) -> Awaitable[object]:
        """Cancel what is left; safe to call at any time, and twice."""
        ...

    def drain_ready(self) -> Sequence[Delta]:
        """Take the pieces that came together with the one that was taken last, `MAX_READY` at most; never waits."""
        ...

    def on_complete(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once the answer is made, which may be long before a slow reader has all of it."""
        ...


class GeneratorDeltas:
    """The pieces that a generator yields: none is ready before it is asked for."""

    def __init__(self, pieces: AsyncGenerator[Delta, None]) -> None:
        self._pieces = pieces
        self._callback: Callable[[], None] | None = None

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        try:
            return await anext(self._pieces)
        except BaseException:
            self._complete()
            raise

    async def aclose(self) -> None:
        """Close the generator."""
        await self._pieces.aclose()
        self._complete()

    def drain_ready(self) -> Sequence[Delta]:
        """None."""
        return ()

    def on_complete(self, callback: Callable[[], None]) -> None:
        """Called when the generator has ended."""
        self._callback = callback

    def _complete(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Engine(Protocol):
    """Runs one or more models. All members are called on one event loop, which none may block over 5 ms."""

    async def start(self) -> None:
        """Load the models and answer a warm-up request with each; returns when `generate` is ready.

        Raises:
            ConfigError: the model cannot be loaded; the message says which and why.
        """
        ...

    async def stop(self) -> None:
        """Release everything. Generations still running end with `EngineUnavailable`. Safe to call twice."""
        ...

    def models(self) -> Sequence[ModelInfo]:
        """The models that can answer now; empty while the engine is starting, restarting or stopped.

        Health is this call: an engine that lists its models has answered a warm-up request with each.
        """
        ...

    async def count(self, request: GenerateRequest) -> Usage:
        """Count a request's prompt exactly, as `generate` would; nothing is generated, so no completion tokens.

        Raises: as `generate` before its first delta.
        """
        ...

    def generate(self, request: GenerateRequest) -> Deltas:
        """Answer one request; every `Delta` carries the `usage` so far, the last `finish_reason` and `timings`.

        Concurrent calls are batched by the engine. Closing the iterator cancels: the request's slot is free
        within one decoding step, whether it was queued, in prefill or in decode. Text in messages is text:
        no spelling in it becomes a control token or moves an image. All views of an image stand in its place.
        What an engine keeps of a request makes no request of another `owner` faster, nor any answer another.
        `request.images` is not mutated.

        Raises (at the first `__anext__` or later):
            UnsupportedParameter: the engine lacks what `request.sampling` asks for.
            ContextLengthExceeded: prompt plus `max_tokens` do not fit.
            EngineUnavailable: the engine is not running, or died before the answer was complete.
            EngineError: the engine failed on this request alone, or would see other image tokens than promised.
        """
        ...
