"""Request bodies with something wrong with them: valid ones in which values, names and then bytes are changed."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

from fuzz.pictures import broken

_NAMES = (
    *(
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "detail",
        "max_tokens",
        "n",
        "stream",
    ),
    *("max_completion_tokens", "temperature", "top_p", "stop", "seed", "stream_options", "include_usage", "tools"),
    *("response_format", "json_schema", "schema", "name", "strict", "frequency_penalty", "presence_penalty", "audio"),
    *("logprobs", "top_logprobs", "metadata", "user", "store", "modalities", "logit_bias", "functions", "tool_call_id"),
    *(
        "function_call",
        "prediction",
        "web_search_options",
        "service_tier",
        "refusal",
        "constructor",
        "",
        "\u0000",
        "é" * 99,
    ),
)
_WORDS = (
    *(
        "user",
        "system",
        "developer",
        "assistant",
        "tool",
        "function",
        "text",
        "image_url",
        "auto",
        "low",
        "high",
        "json",
    ),
    *(
        "json_object",
        "json_schema",
        "sightline/scripted",
        "<start_of_image>",
        "\ufeff",
        "\u2028",
        "\U0001f441",
        "x" * 300,
    ),
    *(
        "@0:0",
        ",@",
        ";base64,",
        "data:",
        "data:image/png;base64,",
        "data:image/png,%89PNG",
        "",
        " ",
        "\n",
        "null",
        "{}",
    ),
)
_NUMBERS = (0, -1, 1, 2, 8, 9, 2**31, 2**63, -(2**63) - 1, 10**100, 0.5, -0.0, 1e308, 1e-320, 3.0, 2**53 + 1)
_RAW = (
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-",
        b"01",
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b"\xff\xfe",
        b"\x00",
    ),
    *(
        b"[" * 300,
        b'{"a":' * 300,
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf",
        b'"url":"data:;base64,',
        b'","',
        b"\\",
        b"\n",
        b"1" * 5000,
    ),
)


def body(random: Random) -> bytes:
    """One body."""
    value = _valid(random)
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        value = _change(random, value)
    data = _write(random, value)
    if random.random() < 0.25:
        data = _disturb(random, data)
    return data


def _valid(random: Random) -> Any:
    parts: list[Any] = [{"type": "text", "text": random.choice(_WORDS)}]
    for _ in range(random.choice((0, 0, 0, 1, 1, 2, 3))):
        parts.insert(random.randrange(len(parts) + 1), {"type": "image_url", "image_url": {"url": _url(random)}})
    messages = [{"role": "user", "content": parts if random.random() < 0.8 else "hello"}]
    if random.random() < 0.3:
        messages.insert(0, {"role": random.choice(("system", "developer", "assistant")), "content": "hi"})
    request: dict[str, Any] = {"model": "sightline/scripted", "messages": messages}
    for name in random.sample(sorted(_OPTIONS), random.choice((0, 1, 2, 5))):
        request[name] = random.choice(_OPTIONS[name])
    return request


_OPTIONS: dict[str, tuple[Any, ...]] = {
    "max_tokens": (1, 16),
    "temperature": (0, 0.7, 2),
    "top_p": (0, 1),
    "n": (1, 2),
    "stop": ("a", ["a", "b"]),
    "seed": (0, -5),
    "stream": (True, False),
    "logprobs": (True,),
    "top_logprobs": (0, 3),
    "response_format": ({"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}),
    "metadata": ({"a": "b"},),
    "user": ("someone",),
    "stream_options": ({"include_usage": True},),
    "tools": ([], [{"type": "function", "function": {"name": "f"}}]),
}


def _url(random: Random) -> str:
    encoded = base64.b64encode(broken(random)).decode()
    match random.randrange(12):
        case 0:
            encoded = "\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
        case 1:
            encoded = encoded.rstrip("=")
        case 2:
            at = random.randrange(len(encoded) + 1)
            encoded = encoded[:at] + random.choice(("é", "=", "%", "-", "_", " ", "\\", "\u0000", ",")) + encoded[at:]
        case 3:
            encoded = random.choice(_WORDS)
    kind = random.choice(("png", "jpeg", "jpg", "webp", "gif", "PNG", "svg+xml", "", "png;a=b"))
    return f"{random.choice(('data', 'data', 'data', 'DATA', 'file', ''))}:image/{kind};base64,{encoded}"


def _anything(random: Random, depth: int = 0) -> Any:
    match random.randrange(9 if depth < 3 else 6):
        case 0 | 1:
            return random.choice(_WORDS)
        case 2 | 3:
            return random.choice(_NUMBERS)
        case 4:
            return random.choice((True, False, None))
        case 5:
            return random.choice(([], {}))
        case 6 | 7:
            return [_anything(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice(_NAMES): _anything(random, depth + 1) for _ in range(random.randrange(4))}


def _change(random: Random, value: Any) -> Any:
    """Replace, add, remove or double something, somewhere inside."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        name = random.choice(list(value))
        match random.randrange(6):
            case 0:
                return {**value, random.choice(_NAMES): _anything(random)}
            case 1:
                return {key: item for key, item in value.items() if key != name}
        return {**value, name: _change(random, value[name])}
    if isinstance(value, list) and value and random.random() < 0.85:
        at = random.randrange(len(value))
        match random.randrange(6):
            case 0:
                return [*value[:at], _anything(random), *value[at:]]
            case 1:
                return value * random.choice((0, 2, 40))
        return [*value[:at], _change(random, value[at]), *value[at + 1 :]]
    return _anything(random)


def _write(random: Random, value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    if random.random() < 0.2:
        text = text.replace("\\n", "\n")  # raw line breaks in strings, as GNU base64 in a shell makes them
    return text.encode("utf-8", "surrogatepass")


def _disturb(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    match random.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + random.choice(_RAW) + data[at:]
        case 2:
            return data[:at] + random.randbytes(random.randrange(1, 9)) + data[at + random.randrange(9) :]
        case 3:
            return data[:at] + data[at : at + random.randrange(1, 99)] * 2 + data[at:]
    return random.randbytes(random.randrange(64))
