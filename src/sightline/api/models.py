"""`GET /v1/models` and `GET /v1/models/{id}`; ids contain slashes."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sightline.api.auth import allow_model, authenticate
from sightline.api.runtime import Runtime, runtime_of
from sightline.core import ModelInfo
from sightline.wire.render import encode, model_body


async def list_models(request: Request) -> Response:
    """The models that can answer now, of those that the key may use."""
    key = await authenticate(request, "inference")
    runtime = runtime_of(request)
    pipeline = runtime.pipeline
    models = [model for model in pipeline.catalogue.models() if key.may_use(pipeline.catalogue.names_of(model.id))]
    body = {"object": "list", "data": [entry(runtime, model) for model in models]}
    return Response(encode(body), media_type="application/json")


async def get_model(request: Request) -> Response:
    """One model, by its id or an alias."""
    key = await authenticate(request, "inference")
    runtime = runtime_of(request)
    allow_model(request, key, request.path_params["model_id"])
    _, model = runtime.pipeline.catalogue.find(request.path_params["model_id"], key.models)
    return Response(encode(entry(runtime, model)), media_type="application/json")


def entry(runtime: Runtime, model: ModelInfo) -> dict[str, Any]:
    """A model with its price in US dollars a token, the other ids it answers to, and as many images as are taken."""
    pipeline = runtime.pipeline
    price = pipeline.prices.of(model.id)
    return {
        **model_body(model),
        "max_images": min(model.max_images, runtime.settings.images.max_images),
        "aliases": pipeline.catalogue.aliases_of(model.id),
        "pricing": {"prompt": f"{price.prompt:f}", "completion": f"{price.completion:f}"},
    }
