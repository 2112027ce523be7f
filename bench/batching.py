"""16 requests at once beside the same 16 one after another, on the bundled model, through the whole service.

Every request has a picture of its own, so that no cache of a prefix helps either side. The answer is a record of all
that is in the picture, some fifty tokens. A sentence of a dozen is measured as well: there the picture itself is most
of the work, which one request alone already spreads over both cores, so that less is left to win.
"""

from __future__ import annotations

import asyncio
import base64
import io
import random
import statistics
import time
from typing import Any

import httpx2
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sightline.testing.live_server import LiveServer

MODEL = "sightline/peek-12m/bf-16"
REQUESTS = 16
ROUNDS = 5
PROMISED = 3.0
QUESTION = "Describe this image."


SCHEMA = {
    "type": "object",
    "properties": {
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"shape": {"type": "string"}, "colour": {"type": "string"}},
                "required": ["shape", "colour"],
                "additionalProperties": False,
            },
        },
        "count": {"type": "integer"},
    },
    "required": ["objects", "count"],
    "additionalProperties": False,
}
RECORD = {"type": "json_schema", "json_schema": {"name": "picture", "strict": True, "schema": SCHEMA}}
Rows = list[tuple[float, int, float, int]]


def run(console: Console) -> bool:
    """Measure in turn, print the median ratio; False when it is under what is promised."""
    with LiveServer("--model", MODEL) as service:
        return asyncio.run(_measure(service, console))


async def _measure(service: LiveServer, console: Console) -> bool:
    headers = {"authorization": f"Bearer {service.api_key}"}
    async with httpx2.AsyncClient(base_url=service.base_url, headers=headers, timeout=120) as client:
        sentence = await _rounds(client, console, {})
        record = await _rounds(client, console, {"response_format": RECORD})
    _print(console, "a sentence", sentence)
    return _print(console, "a record", record) >= PROMISED


async def _rounds(client: httpx2.AsyncClient, console: Console, extra: dict[str, Any]) -> Rows:
    """Seconds and tokens at once, seconds and tokens one after another, of each round."""
    draw = random.Random(7)
    rows: Rows = []
    await asyncio.gather(*(_ask(client, _body(draw, extra)) for _ in range(REQUESTS)))
    for _ in track(range(ROUNDS), "batching", console=console, transient=True):
        bodies = [_body(draw, extra) for _ in range(REQUESTS)]
        began = time.perf_counter()
        together = await asyncio.gather(*(_ask(client, body) for body in bodies))
        at_once = time.perf_counter() - began
        bodies = [_body(draw, extra) for _ in range(REQUESTS)]
        began = time.perf_counter()
        in_turn = [await _ask(client, body) for body in bodies]
        rows.append((at_once, sum(together), time.perf_counter() - began, sum(in_turn)))
    return rows


def _print(console: Console, answer: str, rows: Rows) -> float:
    ratios = [in_turn / at_once for at_once, _, in_turn, _ in rows]
    median = statistics.median(ratios)
    table = Table(title=f"{REQUESTS} image requests, {answer} each, {MODEL}, {ROUNDS} rounds", box=None)
    for column in ("", "seconds, median", "images/s", "tokens/s"):
        table.add_column(column, justify="right")
    for name, first in (("at once", 0), ("one after another", 2)):
        seconds = statistics.median(row[first] for row in rows)
        tokens_s = statistics.median(row[first + 1] / row[first] for row in rows)
        table.add_row(name, f"{seconds:.2f}", f"{REQUESTS / seconds:.1f}", f"{tokens_s:.0f}")
    console.print(table)
    promised = f", promised {PROMISED:g}" if answer == "a record" else ""
    console.print(f"ratio {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}){promised}")
    return median


async def _ask(client: httpx2.AsyncClient, body: dict[str, Any]) -> int:
    response = await client.post("chat/completions", json=body)
    response.raise_for_status()
    return int(response.json()["usage"]["completion_tokens"])


def _body(draw: random.Random, extra: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "image_url", "image_url": {"url": picture(draw)}}, {"type": "text", "text": QUESTION}]
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_completion_tokens": 160,
        **extra,
    }


def picture(draw: random.Random) -> str:
    """A picture that no other is, as a data URI: a few discs on white."""
    image = Image.new("RGB", (224, 224), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(draw.randint(4, 6)):
        x, y, r = draw.randint(30, 190), draw.randint(30, 190), draw.randint(15, 30)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=draw.choice(("red", "blue", "green", "orange")))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
