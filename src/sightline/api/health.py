"""`GET /health/live` and `/health/ready`: open to all, and they say nothing but up or not."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from sightline.api.runtime import runtime_of
from sightline.wire.render import encode


async def live(_: Request) -> Response:
    """The process answers."""
    return Response(encode({"status": "live"}), media_type="application/json")


async def ready(request: Request) -> Response:
    """Every engine has answered a warm-up request and none is restarting; 503 otherwise."""
    if runtime_of(request).pipeline.is_ready():
        return Response(encode({"status": "ready"}), media_type="application/json")
    return Response(encode({"status": "not ready"}), 503, {"retry-after": "1"}, "application/json")
