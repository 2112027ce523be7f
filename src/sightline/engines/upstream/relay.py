"""The answer to one request as the servers of a pool give it.

A request of which nothing has gone to its caller moves to another server once, within the same call, so it has one row
in the ledger however often it was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from sightline.core import Delta, GenerateRequest, ModelInfo
from sightline.engines.base import MAX_READY
from sightline.engines.upstream.exchange import Exchange
from sightline.engines.upstream.failures import Failure
from sightline.engines.upstream.pool import Pool
from sightline.engines.upstream.server import Server
from sightline.errors import ServiceError, UnsupportedParameter


class UpstreamDeltas:
    """Implements `Deltas`; a class, for a generator could not say which deltas have come already."""

    def __init__(self, pool: Pool, request: GenerateRequest) -> None:
        """Take note of the request; it goes out when the first delta is asked for."""
        self._pool = pool
        self._request = request
        self._ready: deque[Delta] = deque()
        self._server: Server | None = None
        self._exchange: Exchange | None = None
        self._failures: list[tuple[Server, Failure]] = []
        self._has_begun = self._is_complete = False
        self._on_complete: Callable[[], None] | None = None

    def __aiter__(self) -> UpstreamDeltas:
        return self

    async def __anext__(self) -> Delta:
        if not self._ready and not self._is_complete:
            try:
                self._ready.extend(await self._read())
            except BaseException:
                self._complete()
                raise
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    def drain_ready(self) -> Sequence[Delta]:
        """Return the deltas that have come already; see `Deltas`."""
        return [self._ready.popleft() for _ in range(min(len(self._ready), MAX_READY))]

    def on_complete(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once the answer is made; see `Deltas`."""
        self._on_complete = callback

    async def aclose(self) -> None:
        """End the work there."""
        self._ready.clear()
        self._complete()

    def _complete(self) -> None:
        self._is_complete = True
        if self._exchange is not None and self._server is not None:
            self._exchange.close()
            self._server.exchanges.discard(self._exchange)
        callback, self._on_complete = self._on_complete, None
        if callback is not None:
            callback()

    async def _read(self) -> list[Delta]:
        """Return the next deltas, of another server where the first fails.

        Raises:
            ServiceError: none can answer, or the request was refused.
        """
        server = self._server or self._choose()
        while True:
            exchange = self._exchange or self._begin(server)
            try:
                deltas = await exchange.read()
            except Failure as failure:
                server.exchanges.discard(exchange)
                server.failed(failure.reason, exchange)
                self._failures.append((server, failure))
                other = self._other()
                if other is None:
                    self._complete()
                    if failure.instead is None:
                        raise failure.error from failure
                    return [failure.instead]
                self._exchange, server = None, other
            else:
                self._has_begun = True
                if exchange.is_over:
                    server.succeeded()
                    self._complete()
                return deltas

    def _choose(self) -> Server:
        server = self._pool.choose(self._request)
        _check_supported(self._request, server.models[self._request.model].info)
        self._pool.earn_retry()
        return server

    def _begin(self, server: Server) -> Exchange:
        exchange = server.exchange(self._request, server.models[self._request.model])
        server.exchanges.add(exchange)
        self._server, self._exchange = server, exchange
        return exchange

    def _other(self) -> Server | None:
        """The server that a failed request moves to; None where it is to end."""
        failures = self._failures
        if len(failures) > 1 and all(failure.reason in ("failed", "reset") for _, failure in failures):
            for server, _ in failures:
                server.forgive()
        if self._has_begun or len(failures) > 1:
            return None
        avoid, failure = failures[0]
        try:
            other = self._pool.choose(self._request, avoid=avoid)
        except ServiceError:
            return None
        if failure.reason == "idle_timeout" and other is avoid:
            return None  # it would wait from the beginning again
        # Who has no room says so at once, and rests: such a request costs a pool that has room nothing. What a server
        # that is out has lost goes elsewhere all of it: no more comes there.
        is_free = not other.is_resting if failure.reason == "overloaded" else not avoid.is_in
        return other if is_free or self._pool.take_retry() else None


def _check_supported(request: GenerateRequest, info: ModelInfo) -> None:
    sampling = request.sampling
    asked = {
        "tools": request.tools is not None,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs > 0,
        "response_format": sampling.response_format.type != "text",
    }
    for name, is_asked in asked.items():
        if is_asked and name not in info.supported_parameters:
            raise UnsupportedParameter(f"{info.id} does not support {name}; leave it out.", param=name)
