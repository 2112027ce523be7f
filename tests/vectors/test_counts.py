"""Offline estimate, preflight and real answer of every vector agree, to the token and the nano-dollar."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pybase64
import pytest

from sightline import estimate
from sightline.settings import BUNDLED, Settings, merge_settings, read_file
from sightline.testing.live_server import LiveServer
from vectors.table import FOLDER, read

MODEL = next(iter(BUNDLED))
PROMPT = "Which colour is the top left quarter?"
PRICES = f'[prices."{MODEL}"]\nprompt = "0.0000002501"\ncompletion = "0.000001"\n'


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "sightline.toml"
    file.write_text(PRICES)
    return file


@pytest.fixture(scope="module")
def settings(config: Path) -> Settings:
    return merge_settings(read_file(config), {})


@pytest.fixture(scope="module")
def service(config: Path) -> Iterator[httpx2.Client]:
    """The real service on the embedded engine, one for all vectors."""
    with LiveServer("--model", MODEL, "--config", str(config)) as local:
        headers = {"authorization": f"Bearer {local.api_key}"}
        with httpx2.Client(base_url=local.base_url, headers=headers, timeout=60) as client:
            yield client


@pytest.mark.e2e
@pytest.mark.engine
@pytest.mark.parametrize("entry", read(), ids=lambda entry: str(entry["file"]))
def test_service_sees_and_counts_as_foretold(entry: dict[str, Any], service: httpx2.Client, settings: Settings) -> None:
    path = FOLDER / entry["file"]
    offline = estimate([path], model=MODEL, prompt=PROMPT, settings=settings)
    body = _body(path, entry["declared_type"])

    preview = service.post("chat/completions/input_tokens", json=body)
    answer = service.post("chat/completions", json=body)

    assert (preview.status_code, answer.status_code) == (200, 200), answer.text
    _assert_receipt(answer.json()["sightline"]["images"][0], entry)
    assert _without_cache(preview.json()["images"]) == _without_cache(answer.json()["sightline"]["images"])

    usage = answer.json()["usage"]
    (image,), (request,) = offline.images, offline.requests
    (seen,) = image.models
    receipt = answer.json()["sightline"]["images"][0]
    assert request.input_tokens == preview.json()["input_tokens"] == usage["prompt_tokens"]
    assert seen.image_tokens == request.image_tokens == usage["prompt_tokens_details"]["image_tokens"]
    assert seen.image_tokens == receipt["image_tokens"]
    assert image.documented_estimate == receipt["documented_estimate"]
    assert (image.width, image.height, image.bytes) == (receipt["width"], receipt["height"], receipt["bytes"])
    assert (seen.seen_width, seen.seen_height) == (receipt["seen_width"], receipt["seen_height"])
    assert image.fits
    assert request.fits
    charged = (preview.json()["cost"]["prompt"], answer.json()["sightline"]["cost"]["prompt"])
    assert {request.cost_nanos} == {int(Decimal(dollars) * 10**9) for dollars in charged}
    assert request.cost_nanos > 0


def _body(path: Path, declared_type: str) -> dict[str, Any]:
    url = f"data:{declared_type};base64,{pybase64.b64encode(path.read_bytes()).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PROMPT}]
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 1, "temperature": 0}


def _assert_receipt(receipt: dict[str, Any], entry: dict[str, Any]) -> None:
    """The receipt speaks of the picture as sent; orientations of 5 and more exchange its sides for who looks at it."""
    lies = any("90°" in action or "270°" in action for action in entry["actions"])
    width, height = (entry["height"], entry["width"]) if lies else (entry["width"], entry["height"])
    assert (receipt["width"], receipt["height"]) == (width, height)
    assert (receipt["type"], receipt["declared_type"]) == (entry["type"], entry["declared_type"])
    assert [action for action in receipt["actions"] if action != "resized"] == entry["actions"]
    assert "resized" in receipt["actions"]


def _without_cache(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in image.items() if name != "cache_hit"} for image in images]
