"""Reads a body up to the limit and not one byte more into memory."""

from __future__ import annotations

import io
import re

from starlette.requests import Request

from sightline.errors import RequestTooLarge, UnsupportedMediaType


async def read_json_body(request: Request, limit_bytes: int) -> bytes:
    """Read a JSON body of fewer than `limit_bytes`.

    Raises:
        UnsupportedMediaType: declared as something other than JSON.
        RequestTooLarge: by its `Content-Length`, before anything is read; or while reading, where there is none.
    """
    media_type = request.headers.get("content-type", "application/json").split(";", 1)[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f"The content-type is {media_type[:80]}; send application/json.")
    declared = request.headers.get("content-length", "")
    if re.fullmatch(r"[0-9]{1,18}", declared) and int(declared) >= limit_bytes:
        raise RequestTooLarge.by(f"{int(declared):,}", limit_bytes)
    body = io.BytesIO()  # not a list: pieces of one byte would take thirty times their size
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size >= limit_bytes:
            raise RequestTooLarge.by(f"{size:,} or more", limit_bytes)
        body.write(chunk)
    return body.getvalue()
