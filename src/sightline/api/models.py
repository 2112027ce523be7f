"""`GET /v1/models` and `GET /v1/models/{id}`; ids contain slashes."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sightline.api.body import header
from sightline.api.runtime import runtime_of
from sightline.core import ModelInfo
from sightline.service import Service
from sightline.wire.render import encode, model_body


async def list_models(request: Request) -> Response:
    """The models that can answer now."""
    runtime = runtime_of(request.scope)
    await runtime.keys.authenticate(header(request.scope, b"authorization"))
    models = [entry(runtime.service, model) for model in runtime.service.catalogue.models()]
    return Response(encode({"object": "list", "data": models}), media_type="application/json")


async def get_model(request: Request) -> Response:
    """One model, by its id or an alias."""
    runtime = runtime_of(request.scope)
    await runtime.keys.authenticate(header(request.scope, b"authorization"))
    _, model = runtime.service.catalogue.find(request.path_params["model_id"])
    return Response(encode(entry(runtime.service, model)), media_type="application/json")


def entry(service: Service, model: ModelInfo) -> dict[str, Any]:
    """A model with its price in US dollars a token and the other ids it answers to."""
    price = service.prices.of(model.id)
    return {
        **model_body(model),
        "aliases": service.catalogue.aliases_of(model.id),
        "pricing": {"prompt": f"{price.prompt:f}", "completion": f"{price.completion:f}"},
    }
