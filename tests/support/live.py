"""What tests ask of a live service with its real engines. Nothing here depends on what a model has learned."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil

from sightline.testing.live_server import LiveServer
from support.pictures import data_uri, picture

PEEK = "sightline/peek-12m/bf-16"
TRANSCRIBER = "paddleocr/pp-ocr-v6-small/fp-32"
THEIRS = "google/gemma-3-27b-instruct/bf-16"
LONG_TEXT = "one two three four five " * 60
"""Takes a model of ours a second and more to say, and fits its context one character a token."""


def question(*parts: dict[str, Any] | str, model: str = PEEK, **more: Any) -> dict[str, Any]:
    """A chat request of one user message, by default about a small picture."""
    content = parts or (image(), "What is in this image?")
    texts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return {"model": model, "messages": [{"role": "user", "content": texts}], **more}


def image(data: bytes | None = None, media_type: str = "image/png") -> dict[str, Any]:
    """An image part."""
    return {"type": "image_url", "image_url": {"url": data_uri(picture() if data is None else data, media_type)}}


def recitation(text: str = LONG_TEXT) -> dict[str, Any]:
    """A `response_format` that leaves a model one answer: `text` as a JSON string."""
    return {"type": "json_schema", "json_schema": {"name": "recitation", "strict": True, "schema": {"const": text}}}


def engine_process(service: LiveServer, kind: str) -> psutil.Process:
    """The process of the service's engine of one kind, `genai` or `transcribe`."""
    assert service.process is not None
    for child in psutil.Process(service.process.pid).children():
        if f'"kind":"{kind}"' in " ".join(child.cmdline()):
            return child
    raise AssertionError(f"no process of {kind}")


def wait_for(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for something that another process does and tells no one."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
