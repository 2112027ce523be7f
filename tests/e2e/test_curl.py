"""cURL against the live service."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.testing.live_server import LiveServer
from support.bodies import events
from support.failures import assert_error_body
from support.live import PEEK, question
from support.pictures import encoded
from support.programs import program

pytestmark = pytest.mark.e2e


def curl(service: LiveServer, *arguments: str, body: bytes = b"", key: str | None = None) -> str:
    """Send a chat request; what cURL printed."""
    command = [program("curl"), "--silent", "--show-error", f"{service.base_url}/chat/completions"]
    command += ["-H", f"Authorization: Bearer {key or service.api_key}", "-H", "Content-Type: application/json"]
    done = subprocess.run([*command, *arguments], input=body, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_curl_gets_an_answer(service: LiveServer) -> None:
    answer = json.loads(curl(service, "-d", json.dumps(question(max_tokens=8))))

    assert answer["model"] == PEEK
    assert answer["choices"][0]["message"]["content"]


def test_curl_gets_a_stream(service: LiveServer) -> None:
    stream = curl(service, "-N", "-d", json.dumps(question(max_tokens=8, stream=True)))

    *chunks, done = events(stream)
    assert done == "[DONE]"
    assert chunks[-1]["sightline"]["images"][0]["width"] == 32


def test_curl_is_told_that_its_key_is_unknown(service: LiveServer) -> None:
    answer = curl(service, "-d", "{}", key="sk-sl-unknown")

    assert_error_body(json.loads(answer), 401, "invalid_api_key")


def test_picture_of_700_kb_goes_through_standard_input(service: LiveServer, tmp_path: Path) -> None:
    # The command that `sightline serve` prints on its first start, the shell's quoting included.
    noise = np.random.default_rng(1).integers(0, 256, (480, 490, 3), np.uint8)
    (tmp_path / "photo.png").write_bytes(encoded(Image.fromarray(noise)))
    command = r"""
    echo '{"model": "MODEL", "max_tokens": 8, "messages": [{"role": "user", "content": [
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,'"$(base64 < photo.png | tr -d '\n')"'"}},
    {"type": "text", "text": "What does it say?"}]}]}' |
    curl -s URL/chat/completions -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d @-
    """

    answer = shell(command.replace("URL", service.base_url).replace("MODEL", PEEK), tmp_path, service.api_key)

    [receipt] = answer["sightline"]["images"]
    assert receipt["bytes"] > 700_000
    assert (receipt["width"], receipt["height"]) == (490, 480)


def shell(command: str, folder: Path, key: str) -> dict[str, Any]:
    """Run a command of ours as a person would; its output as JSON."""
    program("curl")
    done = subprocess.run(
        [program("bash"), "-euo", "pipefail", "-c", f"KEY={key}\n{command}"],
        cwd=folder,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
