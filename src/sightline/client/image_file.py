"""A picture as the sender holds it, a path or bytes, becomes what a request carries. Reads files; decodes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pybase64

from sightline.core import Detail, ImageReference
from sightline.images.header import Broken, Header, read_header

Picture = Path | str | bytes
"""A picture file's path, or its bytes."""

CLIENT_BODY_BYTES = 1_000_000
"""Our own clients stay below this, whichever way a server reads "1 MB"."""


def read(picture: Picture) -> bytes:
    """The bytes of a picture file.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(picture, bytes):
        return picture
    path = Path(picture)
    with suppress(RuntimeError):  # ~name is a file's own name where there is no such user
        path = path.expanduser()
    return path.read_bytes()


def header_of(data: bytes) -> Header | None:
    """What the first bytes say; None where they say nothing that can be used."""
    try:
        return read_header(data)
    except Broken:
        return None


def content_part(data: bytes, detail: Detail = "auto") -> dict[str, Any]:
    """The content part for any OpenAI client; labelled as what the bytes are."""
    header = header_of(data)
    head = f"data:image/{header.type if header else 'png'};base64,"
    return {"type": "image_url", "image_url": {"url": head + pybase64.b64encode(data).decode(), "detail": detail}}


def reference(data: bytes, detail: Detail = "auto") -> ImageReference:
    """The same as the service meets it, for the only picture of a request."""
    head, _, payload = content_part(data, detail)["image_url"]["url"].partition(",")
    return ImageReference(head + ",", payload.encode(), detail, "messages.[0].content.[0].image_url.url")


def user_message(parts: Sequence[dict[str, Any]], prompt: str) -> dict[str, Any]:
    """Pictures first, then the question, as the samples of the guide have it."""
    return {"role": "user", "content": [*parts, {"type": "text", "text": prompt}]}


def write_body(model: str, messages: Sequence[dict[str, Any]]) -> bytes:
    """The shortest body that asks `model` this, in the form that OpenAI's clients write."""
    body = {"model": model, "messages": list(messages)}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
