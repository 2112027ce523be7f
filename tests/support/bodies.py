"""Request bodies, as clients write them."""

from __future__ import annotations

import json
from typing import Any

from support.pictures import data_uri, picture

SCRIPTED = "sightline/scripted"
CHAT = "/v1/chat/completions"
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks up a part by its number.",
        "parameters": {"type": "object", "properties": {"part": {"type": ["string", "null"], "default": None}}},
    },
}
CALL: dict[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"part":"7"}'},
}


def text(value: str) -> dict[str, Any]:
    """A text part."""
    return {"type": "text", "text": value}


def image(data: bytes | None = None, media_type: str = "image/png", **more: Any) -> dict[str, Any]:
    """An image part."""
    url = data_uri(picture() if data is None else data, media_type)
    return {"type": "image_url", "image_url": {"url": url, **more}}


def chat(*parts: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chat request of one user message; strings become text parts."""
    content = [text(part) if isinstance(part, str) else part for part in parts]
    return {"model": SCRIPTED, "messages": [{"role": "user", "content": content}], **more}


def raw(*parts: str | dict[str, Any], **more: Any) -> bytes:
    """The same as bytes."""
    return json.dumps(chat(*parts, **more)).encode()


def events(stream: str | bytes) -> list[Any]:
    """What a stream said: each event's JSON, and the text `[DONE]`."""
    stream = stream.decode() if isinstance(stream, bytes) else stream
    frames = stream.split("\n\n")
    assert frames.pop() == ""
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [data if (data := frame[6:]) == "[DONE]" else json.loads(data) for frame in frames]


def is_harmless(value: Any) -> bool:
    """Whether a value holds nothing that the scripted engine obeys: Hypothesis draws the words of our sources, too."""
    text = json.dumps(value)
    return "<crash>" not in text and "<fail>" not in text
