"""`GET /v1/models` and `GET /v1/models/{id}`; ids contain slashes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from sightline.api.runtime import runtime_of
from sightline.wire.render import encode, model_body, model_list


async def list_models(request: Request) -> Response:
    """The models that can answer now."""
    runtime = runtime_of(request)
    await runtime.keys.authenticate(request.headers.get("authorization"))
    return Response(encode(model_list(runtime.service.models())), media_type="application/json")


async def get_model(request: Request) -> Response:
    """One model."""
    runtime = runtime_of(request)
    await runtime.keys.authenticate(request.headers.get("authorization"))
    model = runtime.service.model(request.path_params["model_id"])
    return Response(encode(model_body(model)), media_type="application/json")
