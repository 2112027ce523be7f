"""The URL table, and the way from a request to its row."""

from __future__ import annotations

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from sightline.api import admin
from sightline.api.chat import ChatCompletions, InputTokens
from sightline.api.exposition import show_metrics
from sightline.api.health import live, ready
from sightline.api.models import get_model, list_models
from sightline.api.usage import usage, usage_requests

ROUTES = [
    Route("/v1/chat/completions", ChatCompletions(), methods=["POST"]),
    Route("/v1/chat/completions/input_tokens", InputTokens(), methods=["POST"]),
    Route("/v1/models", list_models),
    Route("/v1/models/{model_id:path}", get_model),
    Route("/v1/admin/keys", admin.keys, methods=["GET", "POST"]),
    Route("/v1/admin/keys/{id}", admin.key, methods=["GET", "DELETE"]),
    Route("/v1/usage", usage),
    Route("/v1/usage/requests", usage_requests),
    Route("/metrics", show_metrics),
    Route("/health/live", live),
    Route("/health/ready", ready),
]


class Find:
    """Finds a request's route: a path without parameters in a table, any other by going through all of them.

    A slash at a path's end changes nothing where the path has no parameters.

    The router below tries one pattern after the other, for as long as it takes to check a key.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        router.redirect_slashes = False  # to an address made of the host header, and http where a proxy ends TLS
        routes = (route for route in router.routes if isinstance(route, Route) and not route.param_convertors)
        self._rows = {route.path: route for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        route = self._rows.get(path) or self._rows.get(path.removesuffix("/"))
        if route is None or (route.methods and scope["method"] not in route.methods):
            await self._router(scope, receive, send)
            return
        scope["route"] = route
        await route.app(scope, receive, send)
