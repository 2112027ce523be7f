"""Core values to OpenAI's JSON: completions, chunks, errors, models.

Source: OpenAI's OpenAPI description; contract.md sections 4 to 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from sightline.core import Delta, ModelInfo, TokenLogprob, ToolCall, Usage
from sightline.errors import InvalidRequest, ServiceError

_encoder = msgspec.json.Encoder()


class Head(msgspec.Struct, frozen=True):
    """What every body and chunk of one answer repeats."""

    id: str
    created: int
    model: str


def encode(value: Any) -> bytes:
    """Write JSON."""
    return _encoder.encode(value)


def completion(
    head: Head, choices: Sequence[Sequence[Delta]], usage: Usage, sightline: dict[str, Any]
) -> dict[str, Any]:
    """A whole `chat.completion`; `choices[i]` are the deltas of answer i, in order."""
    return {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [_choice(index, deltas) for index, deltas in enumerate(choices)],
        "usage": usage_body(usage),
        "sightline": sightline,
    }


def _choice(index: int, deltas: Sequence[Delta]) -> dict[str, Any]:
    whole = Delta.join(deltas)
    text, calls = whole.text, whole.tool_calls
    return {
        "index": index,
        "message": {
            "role": "assistant",
            "content": None if calls and not text else text,
            "refusal": None,
            **({"tool_calls": _whole_calls(calls)} if calls else {}),
        },
        "logprobs": _logprobs(whole.logprobs),
        "finish_reason": whole.finish_reason,
    }


def _whole_calls(pieces: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Put calls together from their pieces."""
    found: dict[int, list[ToolCall]] = {}
    for piece in pieces:
        found.setdefault(piece.index, []).append(piece)
    return [
        {
            "id": next((piece.id for piece in of_one if piece.id), ""),
            "type": "function",
            "function": {
                "name": next((piece.name for piece in of_one if piece.name), ""),
                "arguments": "".join([piece.arguments for piece in of_one]),
            },
        }
        for of_one in found.values()
    ]


def _call_piece(piece: ToolCall) -> dict[str, Any]:
    function = {"name": piece.name} if piece.name else {}
    body = {"index": piece.index, "function": {**function, "arguments": piece.arguments}}
    return {**body, "id": piece.id, "type": "function"} if piece.id else body


def chunk(head: Head, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """One `chat.completion.chunk`."""
    return {
        "id": head.id,
        "object": "chat.completion.chunk",
        "created": head.created,
        "model": head.model,
        "choices": choices,
        **more,
    }


def role_choice(index: int) -> dict[str, Any]:
    """The first piece of an answer in a stream: who speaks."""
    delta = {"role": "assistant", "content": "", "refusal": None}
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def delta_choice(index: int, delta: Delta) -> dict[str, Any]:
    """A piece of an answer in a stream."""
    said: dict[str, Any] = {"content": delta.text} if delta.text else {}
    if delta.tool_calls:
        said["tool_calls"] = [_call_piece(piece) for piece in delta.tool_calls]
    return {
        "index": index,
        "delta": said,
        "logprobs": _logprobs(delta.logprobs),
        "finish_reason": delta.finish_reason,
    }


def usage_body(usage: Usage) -> dict[str, Any]:
    """Token counts, always the model's exact ones."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "image_tokens": usage.image_tokens,
            "text_tokens": usage.text_tokens,
        },
    }


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    if not tokens:
        return None
    content = [{**_token(token), "top_logprobs": [_token(top) for top in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def _token(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.logprob, "bytes": token.bytes}


def error_body(error: ServiceError) -> dict[str, Any]:
    """OpenAI's error object; every problem of the request under `details`."""
    body: dict[str, Any] = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    if isinstance(error, InvalidRequest):
        body["details"] = error.problems
    return {"error": body}


def model_body(model: ModelInfo) -> dict[str, Any]:
    """A model in OpenAI's shape, and what a sender needs to know of it."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "description": model.description,
        "context_length": model.context_length,
        "max_images": model.max_images,
        "ocr_max_chars": model.ocr_max_chars + model.upstream_ocr_chars,
        "prompt_repetition": model.prompt_repetition or model.upstream_prompt_repetition,
        "characters_per_token": model.characters_per_token,
        "architecture": {"input_modalities": ["text", "image"] if model.image else ["text"], "image": model.image},
        "supported_parameters": sorted(model.supported_parameters),
        "default_parameters": {"temperature": model.temperature},
    }
