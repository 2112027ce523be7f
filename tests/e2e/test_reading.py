"""Pictures read by the real transcriber, for a model that runs elsewhere and for one that runs here."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

import sightline
from sightline.testing.live_server import LiveServer
from support.live import TRANSCRIBER, image, question, wait_for
from support.models import with_pictures

pytestmark = pytest.mark.e2e
PAGE = Path(__file__).parents[2] / "examples" / "images" / "page.png"

BEHIND = '[[engines]]\nkind = "scripted"\n'
FRONT = """
[[upstreams]]
urls = ["{}"]
key_env = "SIGHTLINE_UPSTREAM_KEY"

[upstreams.models."house/reader"]
id = "sightline/scripted"
ocr_max_chars = 60
prompt_repetition = true
"""


def test_the_text_of_a_picture_goes_out_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "behind.toml").write_text(BEHIND)
    with ExitStack() as stack:
        behind = stack.enter_context(LiveServer("--config", str(tmp_path / "behind.toml")))
        monkeypatch.setenv("SIGHTLINE_UPSTREAM_KEY", behind.api_key)
        (tmp_path / "front.toml").write_text(FRONT.format(behind.url))
        front = stack.enter_context(LiveServer("--config", str(tmp_path / "front.toml")))
        wait_for(lambda: front.log.count("upstream_ready") == 1)
        headers = {"authorization": f"Bearer {front.api_key}"}
        http = stack.enter_context(httpx2.Client(base_url=front.url, headers=headers, timeout=60))
        body = question("What is it?", image(PAGE.read_bytes()), model="house/reader")
        preview = http.post("/v1/chat/completions/input_tokens", json=body).json()
        answer = http.post("/v1/chat/completions", json=body).json()

    text = answer["choices"][0]["message"]["content"]
    numbered = text.split('"""')[1].strip("\n").split("\n")
    read = "\n".join(line.split(" ", 1)[1] for line in numbered)
    assert 20 < len(read) <= 60
    assert text.startswith("What is it? [")
    assert text.endswith('""" What is it?')
    assert answer["sightline"]["images"][0]["ocr_max_chars"] == len(read)
    assert preview["images"][0]["ocr_max_chars"] == len(read)
    assert preview["input_tokens"] == answer["usage"]["prompt_tokens"]


@pytest.mark.parametrize("first", ["picture", "question"])
def test_offline_figures_are_the_services_where_pictures_are_read(tmp_path: Path, first: str) -> None:
    folder = with_pictures(tmp_path / "reading")
    card = json.loads((folder / "sightline.json").read_text())
    (folder / "sightline.json").unlink()
    (folder / "sightline.json").write_text(
        json.dumps(card | {"id": "a/b", "ocr_max_chars": 300, "prompt_repetition": True})
    )
    parts = [image(PAGE.read_bytes()), {"type": "text", "text": "What is it?"}]
    parts = parts if first == "picture" else parts[::-1]
    with LiveServer("--model", str(folder), "--model", TRANSCRIBER) as service:
        headers = {"authorization": f"Bearer {service.api_key}"}
        with httpx2.Client(base_url=service.url, headers=headers, timeout=60) as http:
            body = question(*parts, model="a/b", max_tokens=4)
            preview = http.post("/v1/chat/completions/input_tokens", json=body).json()
            answer = http.post("/v1/chat/completions", json=body).json()
    (offline,) = sightline.estimate(messages=[{"role": "user", "content": parts}], model=str(folder)).requests

    assert 200 < answer["sightline"]["images"][0]["ocr_max_chars"] <= 300
    assert offline.input_tokens == preview["input_tokens"] == answer["usage"]["prompt_tokens"]
    assert offline.image_tokens == answer["usage"]["prompt_tokens_details"]["image_tokens"]
