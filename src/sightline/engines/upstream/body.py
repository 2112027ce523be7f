"""A request as an upstream takes it: OpenAI's JSON, as bytes. Images go as data URIs that are never scanned again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Set
from typing import Any

import msgspec
import pybase64

from sightline.core import GenerateRequest, ImageFile, ImagePart, Message, Part, SamplingParams, Tools
from sightline.engines.upstream.client import Pieces
from sightline.engines.upstream.escaping import MessageEscaper
from sightline.errors import EngineError

_WITHOUT_TOOLS = {"developer": "system", "tool": "user"}  # to whom no tool is known, its result is what a user says
_WITH_TOOLS = {"developer": "system"}
_LIMITS = ("max_completion_tokens", "max_tokens")
_NEW_LIMIT = frozenset({"vllm", "sglang", "sightline", "openai"})
"""Servers that take `max_completion_tokens`. Others may drop it without a word.

Source: Ollama's issue 7125, llama-cpp-python's 1907.
"""
_MARK = b"\0"  # in no JSON
_LEAST_TOP_P = 1e-6
"""vLLM refuses 0, which OpenAI takes; either way the likeliest token alone is left."""
_SEEDS = 2**63
"""vLLM takes -1 for no seed, and the answers of one request count on from theirs."""
_LONG_TEXT = 20_000
"""Characters: a longer body is written beside the event loop, for one of brackets takes a quarter second."""
_IMAGE = msgspec.Raw(_MARK)
_encoder = msgspec.json.Encoder()


async def written(write: Callable[[GenerateRequest], Pieces], request: GenerateRequest) -> Pieces:
    """Return the body that `write` makes of a request, in a thread where its texts are long."""
    size = sum(len(text) for message in request.messages for text in message.texts())
    if request.tools is not None:
        size += len(request.tools.definitions)
    return await asyncio.to_thread(write, request) if size > _LONG_TEXT else write(request)


class BodyWriter:
    """Writes bodies for one upstream's model: `model` is its id there, `dialect` what kind of server it is.

    Temperature and top_p are always stated, for servers have defaults of their own, unless the model has neither.
    """

    def __init__(self, model: str, dialect: str, supported: Set[str], escaper: MessageEscaper) -> None:
        self._stated = [name for name in ("temperature", "top_p") if name in supported]
        limits = [name for name in _LIMITS if name in supported]
        self._limit = limits[0] if len(limits) == 1 else _LIMITS[dialect not in _NEW_LIMIT]
        self._roles = _WITH_TOOLS if "tools" in supported else _WITHOUT_TOOLS
        self._model = model
        self._dialect = dialect
        self._escaper = escaper

    def write(self, request: GenerateRequest) -> Pieces:
        """Return the body of `POST /v1/chat/completions`, in pieces: no image is copied once it is base64.

        Raises:
            EngineError: the images and their places in the messages do not match.
        """
        body: dict[str, Any] = {"model": self._model, "messages": self.messages(request)}
        for name in self._stated:
            body[name] = getattr(request.sampling, name)
        if "top_p" in body:
            body["top_p"] = max(body["top_p"], _LEAST_TOP_P)
        _add_sampling(body, request.sampling, self._limit)
        if request.tools is not None:
            self._add_tools(body, request.tools)
        if request.stream:
            body["stream"] = True
            # vLLM can say with each piece what was used so far, so that who disconnects pays for what was made.
            more = {"continuous_usage_stats": True} if self._dialect == "vllm" else {}
            body["stream_options"] = {"include_usage": True, **more}
        return _with_images(_encoder.encode(body), request)

    def count(self, request: GenerateRequest) -> Pieces:
        """Return the body that asks for the tokens of a prompt: vLLM's `/tokenize`."""
        body = {"model": self._model, "messages": self.messages(request), "add_generation_prompt": True}
        if request.tools is not None:
            body["tools"] = msgspec.Raw(self._escaper.json(request.tools.definitions))
        return _with_images(_encoder.encode(body), request)

    def messages(self, request: GenerateRequest) -> list[dict[str, Any]]:
        """Return the messages, special tokens escaped, every image once and in its place."""
        messages = self._escaper.messages(request.messages)
        places = [part.index for message in messages for part in message.parts if isinstance(part, ImagePart)]
        if sorted(places) != list(range(len(request.files))):
            raise EngineError("The images of the request and their places in the messages do not match.")
        return [_message(message, self._roles, request.files) for message in messages]

    def _add_tools(self, body: dict[str, Any], tools: Tools) -> None:
        body["tools"] = msgspec.Raw(self._escaper.json(tools.definitions))
        if tools.choice is not None:
            body["tool_choice"] = msgspec.Raw(tools.choice.encode())
        if tools.parallel is not None:
            body["parallel_tool_calls"] = tools.parallel


def _message(message: Message, roles: Mapping[str, str], files: tuple[ImageFile, ...]) -> dict[str, Any]:
    role = roles.get(message.role, message.role)
    if len(message.parts) == 1 and not isinstance(message.parts[0], ImagePart):
        made: dict[str, Any] = {"role": role, "content": message.parts[0].text}
    else:
        made = {"role": role, "content": [_part(part, files) for part in message.parts] or None}
    if message.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if role == "tool":
        made["tool_call_id"] = message.tool_call_id
    return made


def _part(part: Part, files: tuple[ImageFile, ...]) -> dict[str, Any]:
    if not isinstance(part, ImagePart):
        return {"type": "text", "text": part.text}
    file = files[part.index]
    url: dict[str, Any] = {"url": _IMAGE}
    if file.detail != "auto":
        url["detail"] = file.detail
    return {"type": "image_url", "image_url": url}


def _with_images(body: bytes, request: GenerateRequest) -> Pieces:
    """The pieces of a body, with images where their marks stand."""
    if not request.files:
        return [body]
    places = [part.index for message in request.messages for part in message.parts if isinstance(part, ImagePart)]
    texts = body.split(_MARK)
    if len(texts) != len(places) + 1:
        raise EngineError("The images of the request and their places in the messages do not match.")
    pieces: list[bytes | memoryview] = []
    for text, place in zip(texts, places, strict=False):
        file = request.files[place]
        pieces += [text + b'"data:image/' + file.type.encode() + b";base64,", pybase64.b64encode(file.data), b'"']
    return [*pieces, texts[-1]]


def _add_sampling(body: dict[str, Any], sampling: SamplingParams, limit: str) -> None:
    """Add what the request says; `limit` is the server's word for the longest answer."""
    if sampling.max_tokens is not None:
        body[limit] = sampling.max_tokens
    if sampling.seed is not None:
        body["seed"] = sampling.seed % _SEEDS
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.frequency_penalty:
        body["frequency_penalty"] = sampling.frequency_penalty
    if sampling.presence_penalty:
        body["presence_penalty"] = sampling.presence_penalty
    if sampling.logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = sampling.top_logprobs
    form = sampling.response_format
    if form.type == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif form.type == "json_schema":
        schema = msgspec.Raw((form.schema or "{}").encode())
        named = {"name": "answer", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
