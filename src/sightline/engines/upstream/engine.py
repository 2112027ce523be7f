"""The engine whose models run in a pool of OpenAI-compatible servers.

In: `GenerateRequest`s with images as files. Out: `Delta`s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from sightline.core import GenerateRequest, ModelInfo, Usage
from sightline.engines.context import max_new_tokens
from sightline.engines.upstream.body import written
from sightline.engines.upstream.client import Client, Pieces
from sightline.engines.upstream.exchange import ServedModel
from sightline.engines.upstream.failures import Failure, of_status
from sightline.engines.upstream.pool import Pool
from sightline.engines.upstream.relay import UpstreamDeltas
from sightline.engines.upstream.server import Server
from sightline.errors import EngineError, EngineUnavailable, UnsupportedParameter
from sightline.settings import UpstreamSettings


class UpstreamEngine:
    """Answers with servers elsewhere."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self._settings = settings
        key = settings.key.get_secret_value() if settings.key else None
        self._client = Client(key, settings.connect_timeout_s, trust_env=settings.trust_env)
        self.pool = Pool([Server(url, self._client, settings) for url in settings.urls], settings)

    async def start(self) -> None:
        """Return once a server has answered a request with each of its models; the others may follow.

        Raises:
            ConfigError: all of them refuse the key.
        """
        self._client.open()
        await self.pool.start()

    async def stop(self) -> None:
        """End running answers with `EngineUnavailable` and close every connection."""
        await self.pool.stop()
        await self._client.close()

    def models(self) -> Sequence[ModelInfo]:
        """What the servers that can answer serve, each model once."""
        found: dict[str, ModelInfo] = {}
        for server in self.pool.servers:
            if server.is_in:
                for model in server.models.values():
                    found.setdefault(model.info.id, model.info)
        return tuple(found.values())

    async def count(self, request: GenerateRequest) -> Usage:
        """Have a server count the prompt: another Sightline exactly, vLLM by its tokenizer; see `Engine.count`.

        Raises:
            UnsupportedParameter: the model's server cannot count without running the model.
            ContextLengthExceeded: the prompt and the answer asked for are longer than the context.
        """
        server = self.pool.choose(request)
        model = server.models[request.model]
        try:
            async with asyncio.timeout(self._settings.idle_timeout_s):
                usage = await _count(server, model, request)
        except Failure as failure:
            raise failure.error from failure
        except (TimeoutError, msgspec.DecodeError, RecursionError) as error:
            raise EngineUnavailable("The model's server cannot count at this moment.", retry_after_s=1) from error
        max_new_tokens(usage.prompt_tokens, request.sampling, model.info.context_length)
        return usage

    def generate(self, request: GenerateRequest) -> UpstreamDeltas:
        """Answer one request; see `Engine.generate`."""
        return UpstreamDeltas(self.pool, request)


class _Count(msgspec.Struct):
    """vLLM's answer about a prompt."""

    count: int


class _InputDetails(msgspec.Struct, frozen=True):
    image_tokens: int = 0


class _InputTokens(msgspec.Struct):
    input_tokens: int
    input_tokens_details: _InputDetails = _InputDetails()


async def _count(server: Server, model: ServedModel, request: GenerateRequest) -> Usage:
    if model.dialect == "sightline":
        body = await written(model.writer.write, request)
        found = msgspec.json.decode(await _post(server, "/v1/chat/completions/input_tokens", body), type=_InputTokens)
        tokens, is_sound = found.input_tokens, found.input_tokens_details.image_tokens == request.image_tokens
    elif model.dialect == "vllm":
        body = await written(model.writer.count, request)
        tokens = msgspec.json.decode(await _post(server, "/tokenize", body), type=_Count).count
        # vLLM counts images as it shows them to the model; fewer tokens than theirs would mean that it lost one.
        is_sound = tokens > request.image_tokens
    else:
        message = f"The server of {model.info.id} cannot count a prompt without running the model."
        raise UnsupportedParameter(message, param="model")
    if not is_sound:
        raise EngineError("The model's server counts other image tokens than were promised.")
    return Usage(tokens, 0, request.image_tokens)


async def _post(server: Server, path: str, body: Pieces) -> bytes:
    with await server.send("POST", path, body) as response:
        if response.status != 200:
            raise of_status(response.status, await response.error())
        return await response.body()
