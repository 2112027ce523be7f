"""CPU time of the front a request, beside a bare uvicorn that reads the same body and echoes a fixed answer.

The service runs with the scripted engine and `[ledger] enabled = false`, so that only the front is measured: key,
parse, limits, images from the cache, the exchange with the engine's process, meter, answer. What writing requests down
costs is `bench.ledger`'s to say. CPU seconds of the API's process alone, as the operating system counts them; both
servers take turns, and the ratio of each turn is taken. With one client a server sleeps between any two requests, and
finds the processor's caches used by others; the promise is for a server at work, with as many clients as the public
figures of such servers have.
"""

from __future__ import annotations

import base64
import io
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sightline.testing.live_server import LiveServer

MODEL = "sightline/scripted"
ROUNDS = 15
CLIENTS = 16
WARM_UP = 200
SETTINGS = '[ledger]\nenabled = false\n[[engines]]\nkind = "scripted"\noptions = {answer = "yes"}\n'
ECHO = """
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", b"650")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 650})
listener = __import__("socket").create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run([listener])
"""


def run(console: Console) -> bool:
    """Measure each body, print the table; False when a ratio is over what is promised."""
    echo = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    try:
        assert echo.stdout is not None
        echo_port = int(echo.stdout.readline())
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "bench.toml"
            config.write_text(SETTINGS)
            with LiveServer("--config", str(config)) as service:
                return _compare(console, service, echo, echo_port)
    finally:
        echo.terminate()
        echo.wait()


def _compare(console: Console, service: LiveServer, echo: subprocess.Popen[str], echo_port: int) -> bool:
    assert service.process is not None
    table = Table(title="CPU of the API's process a request, beside a bare uvicorn echo", box=None)
    for column in ("body", "bytes", "clients", "echo µs", "front µs", "ratio", "promised at most"):
        table.add_column(column, justify="right")
    reached = True
    for name, body, requests, promised in _bodies():
        here = Target(urlsplit(service.url).port or 80, psutil.Process(service.process.pid), service.api_key)
        there = Target(echo_port, psutil.Process(echo.pid), service.api_key)
        for clients in (1, CLIENTS):
            rows = _rounds(console, name, (there, here), body, requests, clients)
            ratios = [front / bare for bare, front in rows]
            bare, front, ratio = (statistics.median(column) for column in (*zip(*rows, strict=True), ratios))
            cells = (name, f"{len(body):,}") if clients == 1 else ("", "")
            judged = f"{promised:g}" if clients == CLIENTS else ""
            table.add_row(*cells, str(clients), f"{bare:.0f}", f"{front:.0f}", f"{ratio:.2f}", judged)
        reached &= ratio <= promised
    console.print(table)
    return reached


def _rounds(
    console: Console, name: str, targets: tuple[Target, Target], body: bytes, requests: int, clients: int
) -> list[tuple[float, float]]:
    for target in targets:
        target.connect(clients)
        target.send(body, WARM_UP, clients)
    return [
        (targets[0].cpu_us(body, requests, clients), targets[1].cpu_us(body, requests, clients))
        for _ in track(range(ROUNDS), name, console=console, transient=True)
    ]


class Target:
    """One server: where it listens, the process whose time counts."""

    def __init__(self, port: int, process: psutil.Process, key: str) -> None:
        self._port = port
        self._sockets: list[socket.socket] = []
        self._process = process
        self._key = key

    def cpu_us(self, body: bytes, requests: int, clients: int) -> float:
        """CPU microseconds of the process a request."""
        before = self._cpu_ns()
        sent = self.send(body, requests, clients)
        return (self._cpu_ns() - before) / sent / 1000

    def _cpu_ns(self) -> int:
        """Processor time of all threads; Linux counts it in nanoseconds here, elsewhere in hundredths of a second."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def connect(self, clients: int) -> None:
        """Open as many connections, and close those of before: a silent one is not kept for long."""
        for connection in self._sockets:
            connection.close()
        self._sockets = [socket.create_connection(("127.0.0.1", self._port)) for _ in range(clients)]

    def send(self, body: bytes, requests: int, clients: int) -> int:
        """Send the same request over and over, at once on each connection, and read the answers; how many came."""
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {self._key}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        message = head.encode() + body
        rounds = requests // clients
        for _ in range(rounds):
            for connection in self._sockets:
                connection.sendall(message)
            for connection in self._sockets:
                _read_answer(connection)
        return rounds * clients


def _read_answer(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    head, _, rest = data.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"the server refused: {data[:400]!r}")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    left = length - len(rest)
    while left > 0:
        left -= len(_received(connection))


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise RuntimeError("the server closed the connection")
    return data


def _bodies() -> list[tuple[str, bytes, int, float]]:
    return [
        ("text", body_of(MODEL), 600, 6.0),
        ("one 100 KB jpeg", body_of(MODEL, jpeg(100_000)), 400, 3.0),
        ("two images, 950 KB", body_of(MODEL, jpeg(355_000), jpeg(355_000)), 150, 2.0),
    ]


def body_of(model: str, *images: bytes) -> bytes:
    """A question about JPEGs, or about nothing."""
    content = [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(image).decode()}}
        for image in images
    ]
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": "What is in this image?"}]}]
    return json.dumps({"model": model, "messages": messages}).encode()


def jpeg(size_bytes: int) -> bytes:
    """A JPEG of noise of exactly `size_bytes`, the last few of them behind its end."""
    side = round((size_bytes * 1.3) ** 0.5)
    image = Image.frombytes("RGB", (side, side), random.Random(size_bytes).randbytes(side * side * 3))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=55)
    return file.getvalue().ljust(size_bytes, b"\0")
