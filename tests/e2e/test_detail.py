"""`detail` over HTTP, by a model that has closer views: what the receipt says, and what decoding them takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import sightline
from sightline.testing.live_server import LiveServer
from support import bombs
from support.live import question
from support.models import IMAGE_TOKENS, with_pictures
from support.pictures import data_uri, picture

pytestmark = pytest.mark.e2e

CHAT = "/v1/chat/completions"
MOST_BYTES = 200_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_pictures(tmp_path_factory.mktemp("models") / "closer", pan_and_scan_min_crop_size=64)


@pytest.fixture(scope="module")
def closer(folder: Path) -> Iterator[httpx2.Client]:
    with LiveServer("--model", str(folder)) as service:
        headers = {"authorization": f"Bearer {service.api_key}"}
        with httpx2.Client(base_url=service.url, headers=headers, timeout=60) as client:
            yield client


@pytest.mark.parametrize(("detail", "views"), [("low", 1), ("auto", 1), ("high", 4)])
def test_receipt_usage_preview_and_estimate_agree(closer: httpx2.Client, folder: Path, detail: Any, views: int) -> None:
    wide = {"type": "image_url", "image_url": {"url": data_uri(picture("png", 300, 100)), "detail": detail}}
    square = {"type": "image_url", "image_url": {"url": data_uri(picture("jpeg", 200, 200)), "detail": detail}}
    body = question(wide, square, "What is this?", max_tokens=2)

    preview = closer.post(f"{CHAT}/input_tokens", json=body).json()
    answer = closer.post(CHAT, json=body).json()
    stream = closer.post(CHAT, json={**body, "stream": True, "stream_options": {"include_usage": True}}).text
    (told,) = sightline.estimate(messages=body["messages"], model=str(folder)).requests

    taken = [(receipt["views"], receipt["detail"]) for receipt in answer["sightline"]["images"]]
    assert taken == [(views, "high" if views > 1 else "low"), (1, "low")]
    last = json.loads(stream.split("data: ")[-2])
    for usage in (answer["usage"], last["usage"]):
        assert usage["prompt_tokens"] == preview["input_tokens"] == told.input_tokens
        assert usage["prompt_tokens_details"]["image_tokens"] == told.image_tokens == (views + 1) * IMAGE_TOKENS
    for receipts in (preview["images"], last["sightline"]["images"]):
        assert [(one["views"], one["detail"]) for one in receipts] == taken


WORST = {
    "jpeg, progressive, wide": ("jpeg", lambda: bombs.jpeg(8600, 2900)),
    "png, interlaced": ("png", lambda: bombs.png(5400, 4500, colour_type=6, interlaced=True)),
    "png, 16-bit, tall": ("png", lambda: bombs.png(2900, 8600, depth=16, colour_type=6)),
    "webp, wide": ("webp", lambda: bombs.webp(16_383, 1525, alpha=128)),
    "webp, nearly square": ("webp", lambda: bombs.webp(5400, 4500, alpha=128)),
}
PROGRAM = """
import sys
from pathlib import Path
from sightline.core import ImageEncoding, PanAndScan
from sightline.images.decode import decode
from sightline.images.pool import _bound_memory

def highest():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)

_bound_memory()
small, worst = (Path(name).read_bytes() for name in sys.argv[2:])
gemma = ImageEncoding("square", 896, 256, PanAndScan())
decode(small, sys.argv[1], gemma, "high")
before = highest()
print(decode(worst, sys.argv[1], gemma, "high").views, (highest() - before) * 1024)
"""


@pytest.mark.parametrize("name", WORST)
def test_closer_views_of_the_largest_pictures_are_decoded_in_bounds(name: str, tmp_path: Path) -> None:
    kind, make = WORST[name]
    files = [tmp_path / "small", tmp_path / "worst"]
    for file, data in zip(files, (picture(kind, 900, 600), make()), strict=True):
        file.write_bytes(data)

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, kind, *map(str, files)], capture_output=True, text=True, timeout=100
    )

    assert done.returncode == 0, done.stderr
    views, growth_bytes = map(int, done.stdout.split())
    assert views > 1
    assert growth_bytes < MOST_BYTES
