"""Reads a request's body: JSON, up to the limit and not one byte more into memory."""

from __future__ import annotations

import re

from starlette.requests import Request

from sightline.errors import SMALLER_IMAGES, RequestTooLarge, UnsupportedMediaType

_JSON = "application/json"
_IDENTITY = frozenset({"identity", ""})
_LENGTH = re.compile("[0-9]{1,18}")
_SMALL_BYTES = 4096
"""Smaller pieces are gathered: on their own, pieces of one byte would take thirty times their size. Larger ones are
joined once at the end, for a buffer that grows with a body of 1 MB takes a millisecond."""


async def read_json_body(request: Request, limit_bytes: int, *, remedy: str = SMALLER_IMAGES) -> bytes:
    """Read a JSON body of fewer than `limit_bytes`; `remedy` says what to do about one that is longer.

    Raises:
        UnsupportedMediaType: declared as something other than JSON, or as compressed.
        RequestTooLarge: by its `Content-Length`, before anything is read; or while reading, where there is none.
        ClientDisconnect: the client left before all of it had come.
    """
    media_type = request.headers.get("content-type", _JSON).split(";", 1)[0].strip().lower()
    if media_type != _JSON and not media_type.endswith("+json"):
        raise UnsupportedMediaType(f"The content-type is {media_type[:80]}; send {_JSON}.")
    coding = request.headers.get("content-encoding", "")
    if coding.strip().lower() not in _IDENTITY:
        raise UnsupportedMediaType(f"The content-encoding is {coding[:80]}; send the JSON as it is, not compressed.")
    declared = request.headers.get("content-length", "")
    if _LENGTH.fullmatch(declared) and int(declared) >= limit_bytes:
        raise RequestTooLarge.by(f"{int(declared):,}", limit_bytes, remedy)
    pieces: list[bytes | bytearray] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size >= limit_bytes:
            raise RequestTooLarge.by(f"{size:,} or more", limit_bytes, remedy)
        if len(chunk) >= _SMALL_BYTES:
            pieces.append(chunk)
        elif pieces and isinstance(pieces[-1], bytearray):
            pieces[-1] += chunk
        else:
            pieces.append(bytearray(chunk))
    return b"".join(pieces)
