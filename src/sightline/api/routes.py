"""The URL table."""

from __future__ import annotations

from starlette.routing import Route

from sightline.api import admin
from sightline.api.chat import count_input_tokens, create_chat_completion
from sightline.api.health import live, ready
from sightline.api.metrics import show_metrics
from sightline.api.models import get_model, list_models
from sightline.api.usage import usage, usage_requests

ROUTES = [
    Route("/v1/chat/completions", create_chat_completion, methods=["POST"]),
    Route("/v1/chat/completions/input_tokens", count_input_tokens, methods=["POST"]),
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
