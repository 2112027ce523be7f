"""A model of an upstream whose pictures are read here, by the real transcriber; it repeats its prompt."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from sightline.local import LocalService
from support.live import image, question, wait_for

pytestmark = pytest.mark.e2e

BEHIND = '[[engines]]\nkind = "scripted"\n'
FRONT = """
[[upstreams]]
urls = ["{}"]
key_env = "SIGHTLINE_UPSTREAM_KEY"

[upstreams.models."house/reader"]
id = "sightline/scripted"
read_characters = 60
"""


def test_the_text_of_a_picture_goes_out_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "behind.toml").write_text(BEHIND)
    page = Path(__file__).parents[2] / "examples" / "images" / "page.png"
    with ExitStack() as stack:
        behind = stack.enter_context(LocalService("--config", str(tmp_path / "behind.toml")))
        monkeypatch.setenv("SIGHTLINE_UPSTREAM_KEY", behind.api_key)
        (tmp_path / "front.toml").write_text(FRONT.format(behind.url))
        front = stack.enter_context(LocalService("--config", str(tmp_path / "front.toml")))
        wait_for(lambda: front.log.count("upstream_ready") == 1)
        headers = {"authorization": f"Bearer {front.api_key}"}
        http = stack.enter_context(httpx2.Client(base_url=front.url, headers=headers, timeout=60))
        body = question(image(page.read_bytes()), "What is it?", model="house/reader")
        preview = http.post("/v1/chat/completions/input_tokens", json=body).json()
        answer = http.post("/v1/chat/completions", json=body).json()

    text = answer["choices"][0]["message"]["content"]
    read = text.split('"""')[1].strip("\n")
    assert 20 < len(read) <= 60
    assert text.endswith('""" What is it?')
    assert answer["sightline"]["images"][0]["read_characters"] == len(read)
    assert preview["images"][0]["read_characters"] == len(read)
    assert preview["input_tokens"] == answer["usage"]["prompt_tokens"]
