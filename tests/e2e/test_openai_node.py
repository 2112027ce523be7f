"""OpenAI's npm client against the live service: one run of `node/client.mjs`, looked at from several sides."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sightline.testing.live_server import LiveServer
from support.live import PEEK, THEIRS, TRANSCRIBER
from support.pictures import data_uri, picture
from support.programs import program

pytestmark = pytest.mark.e2e

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def seen(service: LiveServer, node_modules: Path) -> dict[str, Any]:
    """What the client saw."""
    done = subprocess.run(
        [program("node"), "client.mjs", service.base_url, PEEK, data_uri(picture())],
        cwd=NODE,
        env={**os.environ, "INFERENCE_API_KEY": service.api_key},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_npm_client_gets_a_plain_answer(seen: dict[str, Any]) -> None:
    assert seen["plain"]["model"] == PEEK
    assert seen["plain"]["choices"][0]["message"]["content"]
    receipt = seen["plain"]["sightline"]["images"][0]
    assert seen["plain"]["usage"]["prompt_tokens_details"]["image_tokens"] == receipt["image_tokens"] > 0


def test_npm_client_gets_a_stream_with_usage_last(seen: dict[str, Any]) -> None:
    *pieces, last = seen["chunks"]

    assert "".join(piece["choices"][0]["delta"].get("content") or "" for piece in pieces)
    assert pieces[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > last["usage"]["prompt_tokens_details"]["image_tokens"] > 0


def test_npm_client_lists_and_finds_models_with_slashes(seen: dict[str, Any]) -> None:
    assert set(seen["models"]) == {PEEK, TRANSCRIBER}
    assert seen["retrieved"] == PEEK
    assert THEIRS not in seen["models"]


def test_npm_client_raises_its_own_classes(seen: dict[str, Any]) -> None:
    assert seen["badRequest"] == {
        "name": "BadRequestError",
        "status": 400,
        "code": "invalid_value",
        "param": "temperature",
        "hasRequestId": True,
    }
    assert (seen["notFound"]["name"], seen["notFound"]["code"]) == ("NotFoundError", "model_not_found")
    assert (seen["unknownKey"]["name"], seen["unknownKey"]["code"]) == ("AuthenticationError", "invalid_api_key")
