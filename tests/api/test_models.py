"""`GET /v1/models` and one model, whose id has slashes; health."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest
from starlette.applications import Starlette

from sightline.admission.admit import Admission
from sightline.testing.scripted_engine import ScriptedEngine
from support.failures import assert_error

pytestmark = pytest.mark.anyio

SCRIPTED = {
    "id": "sightline/scripted",
    "object": "model",
    "created": 0,
    "owned_by": "sightline",
    "description": "A scripted engine for tests.",
    "context_length": 4096,
    "max_images": 2,
    "ocr_max_chars": 0,
    "prompt_repetition": False,
    "characters_per_token": 4,
    "architecture": {
        "input_modalities": ["text", "image"],
        "image": {
            "kind": "square",
            "size_px": 32,
            "tokens": 16,
            "min_pixels": 0,
            "max_pixels": 0,
            "forwarded": False,
            "pan_and_scan": {"min_crop_px": 32, "max_crops": 4, "min_ratio": 1.2, "by_default": False},
        },
    },
    "supported_parameters": [
        *("logprobs", "max_tokens", "response_format", "seed", "stop", "temperature", "top_logprobs"),
    ],
    "default_parameters": {"temperature": 1.0},
    "aliases": [],
    "pricing": {"prompt": "0", "completion": "0"},
}


async def test_list_has_every_loaded_model(client: httpx2.AsyncClient) -> None:
    response = await client.get("/v1/models")

    assert response.json() == {"object": "list", "data": [SCRIPTED]}


async def test_a_model_takes_no_more_images_than_the_service(client: httpx2.AsyncClient, app: Starlette) -> None:
    few = replace(app.state.runtime.settings, images=replace(app.state.runtime.settings.images, max_images=1))
    app.state.runtime = replace(app.state.runtime, settings=few)

    assert (await client.get("/v1/models/sightline/scripted")).json()["max_images"] == 1


@pytest.mark.parametrize("path", ["sightline/scripted", "sightline%2Fscripted"])
async def test_one_model_is_found_by_its_id_with_slashes(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.get(f"/v1/models/{path}")

    assert response.json() == SCRIPTED


@pytest.mark.parametrize("path", ["nobody/nothing", "x" * 5000, "%F0%9F%A6%8A", "%00"])
async def test_unknown_model_is_404(client: httpx2.AsyncClient, path: str) -> None:
    error = assert_error(await client.get(f"/v1/models/{path}"), 404, "model_not_found", "model")

    assert len(error["message"]) < 300


async def test_list_is_empty_while_the_engine_starts(client: httpx2.AsyncClient, engine: ScriptedEngine) -> None:
    await engine.stop()

    assert (await client.get("/v1/models")).json() == {"object": "list", "data": []}


async def test_health_is_open_to_all(client: httpx2.AsyncClient) -> None:
    del client.headers["authorization"]

    live, ready = await client.get("/health/live"), await client.get("/health/ready")

    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def test_not_ready_while_the_engine_starts(client: httpx2.AsyncClient, engine: ScriptedEngine) -> None:
    await engine.stop()

    ready, live = await client.get("/health/ready"), await client.get("/health/live")

    assert (ready.status_code, ready.json()) == (503, {"status": "not ready"})
    assert ready.headers["retry-after"] == "1"
    assert live.status_code == 200


async def test_not_ready_while_draining(client: httpx2.AsyncClient, admission: Admission) -> None:
    admission.draining = True

    assert (await client.get("/health/ready")).status_code == 503
