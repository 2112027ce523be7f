"""The commands' way to a running service: base URL and key from the environment, errors as sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from sightline.cli.terminal import BASE_URL, fail


@contextmanager
def connect() -> Iterator[httpx2.Client]:
    """A client of the service at `SIGHTLINE_BASE_URL` with the key in `INFERENCE_API_KEY`."""
    base_url = os.environ.get("SIGHTLINE_BASE_URL", BASE_URL).rstrip("/")
    key = os.environ.get("INFERENCE_API_KEY", "").strip()
    if not key:
        fail("INFERENCE_API_KEY is not set; it holds your API key. Make one with: sightline keys create NAME")
    if not (key.isascii() and key.isprintable()):
        fail("INFERENCE_API_KEY has characters that no key has; copy the whole key again.")
    headers = {"authorization": f"Bearer {key}"}
    try:
        client = httpx2.Client(base_url=base_url, headers=headers, timeout=httpx2.Timeout(600, connect=5))
    except (ImportError, ValueError) as error:
        fail(f"The proxy that the environment names (ALL_PROXY, HTTP_PROXY …) cannot be used: {error}")
    except httpx2.InvalidURL:
        fail(_no_address(base_url))
    try:
        with client:
            yield client
    except httpx2.ConnectError:
        fail(f"Nothing answers on {base_url}. Start the service with: sightline serve")
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        fail(_no_address(base_url))
    except httpx2.TransportError as error:
        fail(f"The connection to {base_url} broke ({type(error).__name__}). Is the service still running?")


def list_models(client: httpx2.Client) -> list[dict[str, Any]]:
    """The entries of `GET /v1/models`."""
    response = client.get("models")
    check(response)
    try:
        models: list[dict[str, Any]] = response.json()["data"]
        _ = [model["architecture"] for model in models]
    except (ValueError, KeyError, TypeError):
        fail(_not_sightline(client.base_url))
    return models


def check(response: httpx2.Response, media_type: str = "application/json") -> None:
    """End the command with the service's own words when it refused, and with ours when it is something else."""
    if response.status_code < 400:
        if response.status_code != 200 or not response.headers.get("content-type", "").startswith(media_type):
            fail(_not_sightline(response.url))
        return
    response.read()
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"HTTP {response.status_code}"
    fail(str(message))


def _no_address(base_url: str) -> str:
    return f"SIGHTLINE_BASE_URL is {base_url}, which is no address; write it like http://127.0.0.1:8000/v1"


def _not_sightline(url: httpx2.URL) -> str:
    return f"What answers on {url} is not Sightline; check SIGHTLINE_BASE_URL, which ends in /v1."
