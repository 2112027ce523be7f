"""How long a refusal takes while the engine is busy: wrong addresses, formats, sizes, counts, bodies, in turn.

The service runs with the scripted engine, which steps for several streams all the while. Each refusal is timed by
its sender, the answer read. Promised: p99 under 50 ms (contract.md, section 2).
"""

from __future__ import annotations

import base64
import json
import statistics
import struct
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sightline.testing.live_server import LiveServer

ROUNDS = 60
STREAMS = 8
WARM_UP = 20
PROMISED_MS = 50.0
CHAT = "/v1/chat/completions"
ENGINE = '[[engines]]\nkind = "scripted"\noptions = {step_s = 0.01}\n'


def run(console: Console) -> bool:
    """Measure each kind of refusal, print the table; False when p99 of all is over what is promised."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bench.toml"
        config.write_text(ENGINE)
        with LiveServer("--config", str(config)) as service:
            headers = {"authorization": f"Bearer {service.api_key}"}
            with httpx2.Client(base_url=service.url, headers=headers, timeout=60) as http:
                return _measure(console, http)


def _measure(console: Console, http: httpx2.Client) -> bool:
    bodies = _bodies()
    done = threading.Event()
    streams = [threading.Thread(target=_keep_busy, args=(http, done)) for _ in range(STREAMS)]
    for stream in streams:
        stream.start()
    try:
        for _ in range(WARM_UP):
            _refusal_ms(http, bodies["address"])
        times: dict[str, list[float]] = {name: [] for name in bodies}
        for _ in track(range(ROUNDS), "refusals", console=console, transient=True):
            for name, body in bodies.items():
                times[name].append(_refusal_ms(http, body))
    finally:
        done.set()
        for stream in streams:
            stream.join()
    return _show(console, times)


def _show(console: Console, times: dict[str, list[float]]) -> bool:
    table = Table(title=f"Refusals beside {STREAMS} streams, ms (promised: p99 under {PROMISED_MS:g})", box=None)
    for column in ("refused for", "requests", "median", "p99", "most"):
        table.add_column(column, justify="right")
    together = [one for each in times.values() for one in each]
    for name, each in {**times, "all": together}.items():
        percentiles = statistics.quantiles(each, n=100, method="inclusive")
        figures = (percentiles[49], percentiles[98], max(each))
        table.add_row(name, str(len(each)), *(f"{figure:.1f}" for figure in figures))
    console.print(table)
    return statistics.quantiles(together, n=100)[98] < PROMISED_MS


def _keep_busy(http: httpx2.Client, done: threading.Event) -> None:
    while not done.is_set():
        with http.stream("POST", CHAT, content=_body({"type": "text", "text": "word " * 2_000}, stream=True)) as stream:
            for _ in stream.iter_bytes():
                if done.is_set():
                    return


def _refusal_ms(http: httpx2.Client, body: bytes) -> float:
    began = time.perf_counter()
    answer = http.post(CHAT, content=body)
    took = (time.perf_counter() - began) * 1000
    if answer.status_code not in (400, 413):
        raise RuntimeError(f"the service did not refuse: {answer.text[:400]}")
    return took


def _bodies() -> dict[str, bytes]:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    frame = b"\xff\xc2\0\x0b\x08" + struct.pack(">HH", 64, 64) + b"\1\1\x11\0"
    scan = b"\xff\xda\0\x08\1\1\0\0\0\0\0\0\0\0\0\0\0\0\0"
    return {
        "address": _body(_image("https://example.com/cat.png")),
        "format": _body(_image(_uri(b"BM" + bytes(700_000)))),
        "pixels": _body(_image(_uri(png))),
        "scans": _body(_image(_uri(b"\xff\xd8" + frame + scan * 30_000 + b"\xff\xd9"))),
        "number": _body(*[_image(_uri(png))] * 3),
        "fill bytes": _body(_image(_uri(b"\xff\xd8" + b"\xff" * 700_000 + b"\0\0"))),
        "base64": _body(_image("data:image/png;base64," + "!" * 700_000)),
        "body": _body({"type": "text", "text": "a" * 1_048_576}),
        "json": b'{"model": ',
    }


def _body(*parts: dict[str, Any], **more: object) -> bytes:
    messages = [{"role": "user", "content": parts}]
    return json.dumps({"model": "sightline/scripted", "messages": messages, **more}).encode()


def _image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()
