"""The commands' way to a running service: base URL and key from the environment, errors as sentences."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from sightline.cli.terminal import fail


@contextmanager
def connect() -> Iterator[httpx2.Client]:
    """A client of the service at `SIGHTLINE_BASE_URL` with the key in `INFERENCE_API_KEY`."""
    base_url = os.environ.get("SIGHTLINE_BASE_URL", "http://127.0.0.1:8000/v1").rstrip("/")
    key = os.environ.get("INFERENCE_API_KEY", "")
    if not key:
        fail("INFERENCE_API_KEY is not set; it holds your API key. Make one with: sightline keys create NAME")
    headers = {"authorization": f"Bearer {key}"}
    try:
        with httpx2.Client(base_url=base_url, headers=headers, timeout=httpx2.Timeout(600, connect=5)) as client:
            yield client
    except httpx2.ConnectError:
        fail(f"Nothing answers on {base_url}. Start the service with: sightline serve")
    except httpx2.TransportError as error:
        fail(f"The connection to {base_url} broke ({type(error).__name__}). Is the service still running?")


def check(response: httpx2.Response) -> None:
    """End the command with the service's own words when it refused."""
    if response.status_code < 400:
        return
    response.read()
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = f"HTTP {response.status_code}"
    fail(str(message))
