"""Reads a request's headers, and its body up to the limit and not one byte more into memory.

Straight from ASGI: every request passes here, and Starlette's `Request` would cost it three times as much.
"""

from __future__ import annotations

import re

from starlette.types import Receive, Scope

from sightline.errors import SMALLER_IMAGES, RequestTooLarge, UnsupportedMediaType

_FIRSTS = "sightline.headers"
_JSON = "application/json"
_JSON_BYTES = _JSON.encode()
_IDENTITY = frozenset({"identity", ""})
_SMALL_BYTES = 4096
_LENGTH = re.compile(rb"[0-9]{1,18}")


def header(scope: Scope, name: bytes) -> str:
    """The first header called `name`, which is in lower case; empty when it was not sent."""
    value = first_headers(scope).get(name)
    return "" if value is None else str(value, "latin-1")


def headers(scope: Scope, name: bytes) -> list[str]:
    """Every header called `name`, which is in lower case."""
    firsts = first_headers(scope)
    if name not in firsts:
        return []
    if len(firsts) == len(scope["headers"]):  # none came twice
        return [str(firsts[name], "latin-1")]
    return [str(value, "latin-1") for key, value in scope["headers"] if key == name]


def first_headers(scope: Scope) -> dict[bytes, bytes]:
    """The first header of each name: made once, since every request is asked for half a dozen of them."""
    firsts: dict[bytes, bytes] | None = scope.get(_FIRSTS)
    if firsts is None:
        firsts = scope[_FIRSTS] = dict(reversed(scope["headers"]))
    return firsts


async def read_json_body(scope: Scope, receive: Receive, limit_bytes: int, *, remedy: str = SMALLER_IMAGES) -> bytes:
    """Read a JSON body of fewer than `limit_bytes`; `remedy` says what to do about one that is longer.

    Raises:
        UnsupportedMediaType: declared as something other than JSON, or as compressed.
        RequestTooLarge: by its `Content-Length`, before anything is read; or while reading, where there is none.
    """
    sent = first_headers(scope)
    if sent.get(b"content-type", _JSON_BYTES) != _JSON_BYTES:
        media_type = header(scope, b"content-type").split(";", 1)[0].strip().lower()
        if media_type != _JSON and not media_type.endswith("+json"):
            raise UnsupportedMediaType(f"The content-type is {media_type[:80]}; send {_JSON}.")
    if b"content-encoding" in sent and (coding := header(scope, b"content-encoding")).strip().lower() not in _IDENTITY:
        raise UnsupportedMediaType(f"The content-encoding is {coding[:80]}; send the JSON as it is, not compressed.")
    declared = sent.get(b"content-length", b"")
    if _LENGTH.fullmatch(declared) and int(declared) >= limit_bytes:
        raise RequestTooLarge.by(f"{int(declared):,}", limit_bytes, remedy)
    pieces: list[bytes | bytearray] = []
    size = 0
    more = True
    while more:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size >= limit_bytes:
            raise RequestTooLarge.by(f"{size:,} or more", limit_bytes, remedy)
        more = message.get("more_body", False)
        if not (pieces or more):
            return bytes(chunk)
        if len(chunk) >= _SMALL_BYTES:
            pieces.append(chunk)
        elif pieces and isinstance(pieces[-1], bytearray):
            pieces[-1] += chunk  # on their own, pieces of one byte would take thirty times their size
        else:
            pieces.append(bytearray(chunk))
    return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
