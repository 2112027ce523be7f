"""The engine whose models run in a pool of OpenAI-compatible servers.

In: `GenerateRequest`s with pictures as files. Out: `Delta`s. A request of which nothing has gone to its caller moves to
another server once, within the same call, so it has one row in the ledger however often it was sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from sightline.core import Delta, GenerateRequest, ModelInfo, Usage
from sightline.engines.base import MOST_AT_HAND, Deltas
from sightline.engines.context import room
from sightline.engines.upstream.body import Pieces
from sightline.engines.upstream.client import Broken, Client, Unreachable
from sightline.engines.upstream.discovery import Discovery
from sightline.engines.upstream.exchange import LONG_BYTES, Asking
from sightline.engines.upstream.failures import Failure, Refused, of_status
from sightline.engines.upstream.pool import Pool
from sightline.engines.upstream.reckoning import Reckoning
from sightline.engines.upstream.server import Served, Server
from sightline.errors import ConfigError, EngineError, EngineUnavailable, ServiceError, UnsupportedParameter
from sightline.log import get_logger
from sightline.settings import UPSTREAM_KEY, UpstreamSettings

log = get_logger(__name__)

_ANSWER_S = 60.0


class UpstreamEngine:
    """Answers with servers elsewhere."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        self._discovery = Discovery(settings)
        key = settings.key.get_secret_value() if settings.key else None
        servers = [Server(Client(url, key, settings.connect_s)) for url in settings.urls]
        self.pool = Pool(servers, self._revive, self._look, settings)
        self._ready: asyncio.Future[None] | None = None
        self._refusing: set[Server] = set()

    async def start(self) -> None:
        """Return once a server has answered a request with each of its models; the others may follow.

        Raises:
            ConfigError: all of them refuse the key.
        """
        self._ready = asyncio.get_running_loop().create_future()
        self.pool.start()
        await self._ready

    async def stop(self) -> None:
        """End running answers with `EngineUnavailable` and close every connection."""
        await self.pool.stop()
        await asyncio.gather(*(server.client.close() for server in self.pool.servers))

    def models(self) -> Sequence[ModelInfo]:
        """What the servers that can answer serve, each model once."""
        able = self.pool.servers
        if len(able) == 1:  # asked of every request
            return able[0].models if able[0].is_in else ()
        found: dict[str, ModelInfo] = {}
        for server in able:
            if server.is_in:
                for info in server.models:
                    found.setdefault(info.id, info)
        return tuple(found.values())

    async def count(self, request: GenerateRequest) -> Usage:
        """Have a server count the prompt: another Sightline exactly, vLLM by its tokenizer; see `Engine.count`.

        Raises:
            UnsupportedParameter: the model's server cannot count without running the model.
            ContextLengthExceeded: the prompt and the answer asked for are longer than the context.
        """
        server = self.pool.choose(request)
        served = server.served[request.model]
        try:
            async with asyncio.timeout(self._settings.idle_s):
                usage = await _count(server, served, request)
        except (Unreachable, Broken, TimeoutError, msgspec.DecodeError, RecursionError) as error:
            raise EngineUnavailable("The model's server cannot count at this moment.", retry_after_s=1) from error
        room(usage.prompt_tokens, request.sampling, served.info.context_length)
        return usage

    def generate(self, request: GenerateRequest) -> Deltas:
        """Answer one request; see `Engine.generate`."""
        return Relay(self.pool, request)

    async def _revive(self, server: Server) -> None:
        """Ask a server that is out whether it can answer.

        Raises:
            Failure: it cannot.
        """
        ready = self._ready
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._discovery.look(server)
        except Refused as error:
            self._refusing.add(server)
            if ready is not None and not ready.done() and len(self._refusing) == len(self.pool.servers):
                ready.set_exception(ConfigError(self._refusal(str(error))))
            raise Failure("failed") from error
        except (Unreachable, TimeoutError) as error:
            raise Failure("dead") from error
        except (Broken, ServiceError) as error:
            raise Failure("failed") from error
        self._refusing.discard(server)
        if ready is not None and not ready.done():
            ready.set_result(None)

    def _refusal(self, server: str) -> str:
        if variable := self._settings.key_env:
            return f"The upstream {server} refuses the key that is in {variable}."
        return (
            f"The upstream {server} wants a key: put it into {UPSTREAM_KEY} for --upstream, or into a variable that "
            "key_env of [[upstreams]] names."
        )

    async def _look(self, server: Server) -> None:
        """Take in what more a server lists by now.

        Raises:
            Failure: it cannot say, or what is new cannot answer.
        """
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._discovery.look_for_more(server)
        except (Refused, Unreachable, Broken, TimeoutError, ServiceError) as error:
            raise Failure("failed") from error


class Relay:
    """The answer to one request as its servers give it. A class for the reason that `exchange.Asking` is one."""

    _server: Server
    _asking: Asking

    def __init__(self, pool: Pool, request: GenerateRequest) -> None:
        """Take note of the request; it goes out when the first piece is asked for."""
        self._pool = pool
        self._request = request
        self._came: deque[Delta] = deque()  # and has not been taken
        self._failed: list[tuple[Server, Failure]] = []
        self._is_asked = self._has_begun = self._is_over = False

    def __aiter__(self) -> Relay:
        return self

    async def __anext__(self) -> Delta:
        if not self._came and not self._is_over:
            self._came.extend(await self._more())
        if not self._came:
            raise StopAsyncIteration
        return self._came.popleft()

    def at_hand(self) -> Sequence[Delta]:
        """See `base.at_hand`."""
        if not self._came:
            return ()
        return [self._came.popleft() for _ in range(min(len(self._came), MOST_AT_HAND))]

    async def aclose(self) -> None:
        """End the work there."""
        self._is_over = True
        self._came.clear()
        if self._is_asked:
            self._asking.leave()

    async def _more(self) -> list[Delta]:
        if not self._is_asked:
            server = self._pool.choose(self._request)
            _check_supported(self._request, server.served[self._request.model].info)
            self._pool.budget.earn()
            self._ask(server)
        while True:
            try:
                deltas = await self._asking.more()
            except Failure as failure:
                self._failed.append((self._server, failure))
                self._server.did_badly(failure.kind)
                other = self._other()
                if other is None:
                    return self._instead(failure)
                self._ask(other)
            else:
                self._has_begun = True
                self._is_over = self._asking.is_over
                return deltas

    def _ask(self, server: Server) -> None:
        self._is_asked = True
        self._server, self._asking = server, Asking(server, server.served[self._request.model], self._request)

    def _instead(self, failure: Failure) -> list[Delta]:
        self._is_over = True
        if failure.instead is None:
            raise failure.error
        return [failure.instead]

    def _other(self) -> Server | None:
        """The server that a failed request moves to; None where it is to end."""
        failed = self._failed
        if len(failed) > 1 and all(failure.kind in ("failed", "cut") for _, failure in failed):
            for server, _ in failed:
                server.forgive()
        if self._has_begun or len(failed) > 1:
            return None
        avoid, failure = failed[0]
        try:
            other = self._pool.choose(self._request, avoid=avoid)
        except ServiceError:
            return None
        if failure.kind == "stalled" and other is avoid:
            return None  # it would wait from the beginning again
        # Who has no room says so at once, and rests: such a request costs a pool that has room nothing. What a server
        # that is out has lost goes elsewhere all of it: no more comes there.
        is_free = not other.is_resting if failure.kind == "busy" else not avoid.is_in
        return other if is_free or self._pool.budget.spend() else None


def _check_supported(request: GenerateRequest, info: ModelInfo) -> None:
    sampling = request.sampling
    asked = ["tools"] if request.tools is not None else []
    if sampling.logprobs:
        asked.append("logprobs")
    if sampling.top_logprobs > 0:
        asked.append("top_logprobs")
    if sampling.response_format.type != "text":
        asked.append("response_format")
    for name in asked:
        if name not in info.supported_parameters:
            raise UnsupportedParameter(f"{info.id} does not support {name}; leave it out.", param=name)


class _Count(msgspec.Struct):
    """vLLM's answer about a prompt."""

    count: int


class _Details(msgspec.Struct, frozen=True):
    image_tokens: int = 0


class _InputTokens(msgspec.Struct):
    input_tokens: int
    input_tokens_details: _Details = _Details()


async def _written(write: Callable[[GenerateRequest], Pieces], request: GenerateRequest, served: Served) -> Pieces:
    is_long = Reckoning(request, served.info).text_bytes > LONG_BYTES
    return await asyncio.to_thread(write, request) if is_long else write(request)


async def _count(server: Server, served: Served, request: GenerateRequest) -> Usage:
    if served.dialect == "sightline":
        body = await _written(served.writer.write, request, served)
        found = msgspec.json.decode(await _ask(server, "/v1/chat/completions/input_tokens", body), type=_InputTokens)
        if found.input_tokens_details.image_tokens != request.image_tokens:
            raise EngineError("The model's server counts other image tokens than were promised.")
        return Usage(found.input_tokens, 0, request.image_tokens)
    if served.dialect != "vllm":
        message = f"The server of {served.info.id} cannot count a prompt without running the model."
        raise UnsupportedParameter(message, param="model")
    body = await _written(served.writer.count, request, served)
    count = msgspec.json.decode(await _ask(server, "/tokenize", body), type=_Count).count
    # vLLM counts pictures as it shows them to the model; fewer tokens than theirs would mean that it lost one.
    if count <= request.image_tokens:
        raise EngineError("The model's server counts other image tokens than were promised.")
    return Usage(count, 0, request.image_tokens)


async def _ask(server: Server, path: str, body: Pieces) -> bytes:
    async with server.client.send("POST", path, body) as reply:
        if reply.status != 200:
            refusal = of_status(reply.status, await reply.error())
            raise refusal.error if isinstance(refusal, Failure) else refusal
        return await reply.body()
