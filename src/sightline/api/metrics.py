"""`GET /metrics`: what Prometheus reads."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from sightline import metrics
from sightline.api.auth import authenticate
from sightline.api.runtime import runtime_of


async def show_metrics(request: Request) -> Response:
    """The metrics of all keys together, so only for `admin`, unless `server.open_metrics` opens them to all."""
    if not runtime_of(request).settings.server.open_metrics:
        await authenticate(request, "admin")
    return Response(metrics.text(), headers={"content-type": metrics.MEDIA_TYPE})
