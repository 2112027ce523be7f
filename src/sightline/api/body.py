"""Reads a body up to the limit and not one byte more into memory."""

from __future__ import annotations

import re

from starlette.requests import Request

from sightline.errors import SMALLER_IMAGES, RequestTooLarge, UnsupportedMediaType


async def read_json_body(request: Request, limit_bytes: int, *, remedy: str = SMALLER_IMAGES) -> bytes:
    """Read a JSON body of fewer than `limit_bytes`; `remedy` says what to do about one that is longer.

    Raises:
        UnsupportedMediaType: declared as something other than JSON.
        RequestTooLarge: by its `Content-Length`, before anything is read; or while reading, where there is none.
    """
    media_type = request.headers.get("content-type", "application/json").split(";", 1)[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f"The content-type is {media_type[:80]}; send application/json.")
    declared = request.headers.get("content-length", "")
    if re.fullmatch(r"[0-9]{1,18}", declared) and int(declared) >= limit_bytes:
        raise RequestTooLarge.by(f"{int(declared):,}", limit_bytes, remedy)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size >= limit_bytes:
            raise RequestTooLarge.by(f"{size:,} or more", limit_bytes, remedy)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
