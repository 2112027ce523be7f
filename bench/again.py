"""The first question about a picture beside the second one, to the first token, through the whole service.

Each picture is new to the service and asked about twice, in other words. The clock runs from the request's first byte
to the first event of the stream; where the time went is what the answer itself says (`sightline.timings`). Pictures are
of three kinds: a drawing as the bundled model knows them, a screenshot and a photo as large as a request may carry. The
bundled model is the hardest case: the larger a model, the larger is the part of the first question that is saved;
`SIGHTLINE_BENCH_MODEL=FOLDER` measures another one.
"""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import statistics
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sightline.testing.live_server import LiveServer

BUNDLED = "sightline/peek-12m/bf-16"
PICTURES = 24
WARM_UP = 4
PROMISED = 4.0
QUESTIONS = ("What is in this image?", "How many shapes are there?")
PARTS = ("image", "prefill")
COLOURS = ("red", "green", "blue", "orange", "purple")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of picture: its size in pixels, and how it is stored."""

    name: str
    width: int
    height: int
    format: str


KINDS = (
    Kind("drawing, 224 × 224 png", 224, 224, "PNG"),
    Kind("screenshot, 1280 × 800 png", 1280, 800, "PNG"),
    Kind("photo, 2048 × 1536 jpeg", 2048, 1536, "JPEG"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer's time to its first token, and where the service says it went; in milliseconds."""

    first_token_ms: float
    parts: dict[str, float]
    cached_tokens: int


def run(console: Console) -> bool:
    """Measure, print the medians; False when the second question is not as much sooner as is promised."""
    table = Table(title=f"To the first token of an answer about a picture, {PICTURES} pictures each", box=None)
    for column in ("picture", "first ms", "second ms", "ratio", "image ms", "engine ms", "engine ratio"):
        table.add_column(column, justify="right")
    ratios: list[float] = []
    model = os.environ.get("SIGHTLINE_BENCH_MODEL", BUNDLED)
    with LiveServer("--model", model) as service, Client(service) as client:
        for kind in KINDS:
            pairs = _pairs(console, client, kind)
            ratios += [first.first_token_ms / second.first_token_ms for first, second in pairs]
            table.add_row(kind.name, *_row(pairs))
    console.print(table)
    median = statistics.median(ratios)
    console.print(f"{model}: ratio {median:.2f} over all pictures, promised {PROMISED:g}")
    return median >= PROMISED


def _pairs(console: Console, client: Client, kind: Kind) -> list[tuple[Asked, Asked]]:
    draw = np.random.default_rng(7)
    pairs = []
    for _ in track(range(WARM_UP + PICTURES), kind.name, console=console, transient=True):
        url = _picture(draw, kind)
        first, second = (client.ask(url, question) for question in QUESTIONS)
        if first.cached_tokens or not second.cached_tokens:
            raise RuntimeError("the first question was answered from the cache, or the second was not")
        pairs.append((first, second))
    return pairs[WARM_UP:]


def _row(pairs: list[tuple[Asked, Asked]]) -> list[str]:
    first, second = (statistics.median(pair[at].first_token_ms for pair in pairs) for at in (0, 1))
    ratio = statistics.median(one.first_token_ms / two.first_token_ms for one, two in pairs)
    parts = [[statistics.median(pair[at].parts[name] for pair in pairs) for at in (0, 1)] for name in PARTS]
    shown = [f"{before:.1f} → {after:.1f}" for before, after in parts]
    engine = parts[-1]
    return [f"{first:.1f}", f"{second:.1f}", f"{ratio:.2f}", *shown, f"{engine[0] / engine[1]:.2f}"]


class Client:
    """One connection that sends whole requests and reads streams: a client that costs next to nothing."""

    def __init__(self, service: LiveServer) -> None:
        address = urlsplit(service.url)
        self._key = service.api_key
        headers = {"authorization": f"Bearer {service.api_key}"}
        self._model = httpx2.get(f"{service.base_url}/models", headers=headers).json()["data"][0]["id"]
        self._socket = socket.create_connection((address.hostname, address.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, url: str, question: str) -> Asked:
        """Ask one question about one picture and read the answer to its end."""
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
        body = json.dumps(
            {
                "model": self._model,
                "messages": [{"role": "user", "content": content}],
                "temperature": 0,
                "max_completion_tokens": 4,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ).encode()
        head = f"authorization: Bearer {self._key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        request = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n".encode() + body
        began = time.perf_counter()
        self._socket.sendall(request)
        answer = b""
        first_token_ms = 0.0
        while not answer.endswith(b"0\r\n\r\n"):
            answer += self._socket.recv(65_536)
            if not first_token_ms and b"data: " in answer:
                first_token_ms = (time.perf_counter() - began) * 1000
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(answer[:400].decode())
        return _asked(first_token_ms, answer)


def _asked(first_token_ms: float, answer: bytes) -> Asked:
    events = [line[6:] for line in answer.splitlines() if line.startswith(b"data: {")]
    last: dict[str, Any] = json.loads(events[-1])
    cached_tokens = last["usage"]["prompt_tokens_details"]["cached_tokens"]
    return Asked(first_token_ms, last["sightline"]["timings"], cached_tokens)


def _picture(draw: np.random.Generator, kind: Kind) -> str:
    """A picture that no other is, as a data URI: discs on white, among greeked text, on soft ground with grain."""
    size = (kind.width, kind.height)
    image = Image.new("RGB", size, "white")
    if kind.format == "JPEG":
        coarse = draw.integers(0, 255, (kind.height // 64, kind.width // 64, 3), dtype=np.uint8)
        soft = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), np.int16)
        grain = draw.normal(0, 6, soft.shape).astype(np.int16)
        image = Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    pen = ImageDraw.Draw(image)
    if kind.width > 1000:
        for top in range(0, kind.height, 14):
            for left in range(0, kind.width - 60, 12):
                if kind.format == "PNG" and draw.random() < 0.6:
                    pen.rectangle((left, top, left + draw.integers(2, 9), top + 8), fill=_grey(draw))
    for _ in range(draw.integers(4, 7)):
        x, y = draw.integers(0, kind.width), draw.integers(0, kind.height)
        radius = draw.integers(kind.height // 16, kind.height // 6)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=str(draw.choice(COLOURS)))
    file = io.BytesIO()
    image.save(file, kind.format, quality=85)
    return f"data:image/{kind.format.lower()};base64," + base64.b64encode(file.getvalue()).decode()


def _grey(draw: np.random.Generator) -> tuple[int, int, int]:
    level = int(draw.integers(0, 120))
    return level, level, level
