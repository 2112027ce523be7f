"""What the front costs before an upstream that answers at once: beside no proxy at all, and beside LiteLLM's.

The same requests go straight to a stand-in, through Sightline with keys and limits, through one that writes a ledger
as well, and through LiteLLM's proxy, set up as its authors advise: extras `proxy` and `proxy-runtime`, byte-compiled,
one worker; it has no database, so that the Sightline without a ledger is its like, and the other shows what waiting for
the commit adds. Pictures come again with each request, as a conversation sends its own, or are new each time: Sightline
knows the former by their BLAKE3, and reads the latter. All run throughout and take turns. Processor time is
that of a proxy's whole process tree; added p50 is that of one client, beside the same client without a proxy. Promised:
at least 25, 15 and 8 times less processor time than LiteLLM; 0.6, 0.8 and 1.6 ms added; 64 streams of 64 chunks at
60,000 chunks a second and 40 times LiteLLM's, paced 95 % of direct.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.front import body_of, jpeg
from bench.standin import CHUNKS, MODEL, PACED
from sightline.auth.keys import Keys
from sightline.core import KeyLimits, NewKey
from sightline.store.database import Database
from sightline.testing.live_server import LiveServer

ROUNDS = 5
CLIENTS = 16
STREAMS = 64
LITELLM = Path(".venv-litellm")
LITELLM_LOCK = Path(__file__).parent / "litellm.lock"
KEY = "sk-bench"
_BASE64 = b";base64,"
OURS, WRITTEN = "sightline", "and a ledger"
PLENTY = NewKey("bench", limits=KeyLimits(requests_per_min=10**7, tokens_per_min=10**9, max_in_flight=1000))
NO_LEDGER = "[ledger]\nenabled = false\n"
CONFIG = """
[[upstreams]]
urls = ["http://127.0.0.1:{port}"]
[upstreams.models]
{model} = {{id = "{model}", image = {{kind = "square", size_px = 896, tokens = 8}}}}
{paced} = {{id = "{paced}"}}
"""


class Side(NamedTuple):
    """One way to the stand-in. `process` is None where nothing stands in between."""

    name: str
    port: int
    key: str
    process: psutil.Process | None


class Case(NamedTuple):
    """A body, and what is promised for it: how many times less processor time, and how much latency in ms.

    Where `is_new`, its pictures are others in each request; nothing is promised for these alone.
    """

    name: str
    body: bytes
    requests: int
    promised_times: float = 0.0
    promised_ms: float = 0.0
    is_new: bool = False


def run(console: Console) -> bool:
    """Measure every case, print the tables; False when something promised was not reached."""
    _set_up_litellm(console)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(_stand_in())
        config = CONFIG.format(port=port, model=MODEL, paced=PACED)
        sides = (
            Side("direct", port, KEY, None),
            stack.enter_context(_sightline(OURS, folder / "ours.toml", NO_LEDGER + config)),
            stack.enter_context(_sightline(WRITTEN, folder / "written.toml", config)),
            stack.enter_context(_litellm(folder, port)),
        )
        return asyncio.run(_compare(console, sides))


async def _compare(console: Console, sides: tuple[Side, ...]) -> bool:
    plain = await _plain(console, sides)
    return await _streams(console, sides) and plain


async def _plain(console: Console, sides: tuple[Side, ...]) -> bool:
    table = Table(title=f"Processor time a request ({CLIENTS} clients), and p50 added (1 client)", box=None)
    for column in ("body", "bytes", "", "µs", "times less", "promised", "p50 ms", "added ms", "promised"):
        table.add_column(column, justify="right")
    reached = True
    for case in _cases():
        messages = {side.name: _messages(case, side.key) for side in sides}
        for side in sides:
            await _send(side, messages[side.name], CLIENTS, 64)
        costs: dict[str, list[float]] = {side.name: [] for side in sides}
        waits: dict[str, list[float]] = {side.name: [] for side in sides}
        for _ in track(range(ROUNDS), case.name, console=console, transient=True):
            for side in sides:
                count = case.requests // (8 if side.name == "litellm" else 1)
                before = _cpu_s(side.process)
                await _send(side, messages[side.name], CLIENTS, count)
                costs[side.name].append((_cpu_s(side.process) - before) / count * 1e6)
                waits[side.name].append(statistics.median(await _send(side, messages[side.name], 1, count // 4)))
        times = {name: _ratio(costs["litellm"], each) for name, each in costs.items() if name in (OURS, WRITTEN)}
        for side in sides:
            added = [(w - bare) * 1000 for w, bare in zip(waits[side.name], waits["direct"], strict=True)]
            cells = [case.name, f"{len(case.body):,}"] if side.name == "direct" else ["", ""]
            cells += [side.name, f"{statistics.median(costs[side.name]):,.0f}"]
            cells += [f"{times[side.name]:.1f}" if side.name in times else ""]
            cells += [f"{case.promised_times:g}" if side.name == OURS and not case.is_new else ""]
            cells += [f"{statistics.median(waits[side.name]) * 1000:.2f}", f"{statistics.median(added):.2f}"]
            cells += [f"{case.promised_ms:g}" if side.name == OURS and not case.is_new else ""]
            table.add_row(*cells)
            if side.name == OURS and not case.is_new:
                reached &= statistics.median(added) <= case.promised_ms and times[OURS] >= case.promised_times
    console.print(table)
    return reached


async def _streams(console: Console, sides: tuple[Side, ...]) -> bool:
    table = Table(title=f"{STREAMS} streams of {CHUNKS} chunks at once, chunks a second", box=None)
    for column in ("", "unpaced", "times LiteLLM's", "a chunk each 5 ms", "of direct"):
        table.add_column(column, justify="right")
    rates: dict[tuple[str, str], list[float]] = {}
    for side in sides:
        await _chunk_rate(side, MODEL)
    for _ in track(range(ROUNDS), "streams", console=console, transient=True):
        for side in sides:
            for model in (MODEL, PACED):
                rates.setdefault((side.name, model), []).append(await _chunk_rate(side, model))
    free = {side.name: rates[side.name, MODEL] for side in sides}
    paced = {side.name: rates[side.name, PACED] for side in sides}
    times = {name: _ratio(each, free["litellm"]) for name, each in free.items()}
    share = {name: _ratio(each, paced["direct"]) for name, each in paced.items()}
    for name in free:
        cells = (f"{statistics.median(free[name]):,.0f}", f"{times[name]:.1f}")
        table.add_row(name, *cells, f"{statistics.median(paced[name]):,.0f}", f"{share[name]:.0%}")
    console.print(table)
    return statistics.median(free[OURS]) >= 60_000 and times[OURS] >= 40 and share[OURS] >= 0.95


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


async def _send(side: Side, messages: Iterator[bytes], clients: int, requests: int) -> list[float]:
    """Send the next `requests` over `clients` connections, one after another on each; seconds that each took."""
    took: list[float] = []
    left = iter(range(requests))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
        for _ in left:
            message = next(messages)
            began = time.perf_counter()
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head[:16]:
                raise RuntimeError(f"{side.name} refused: {(head + await reader.read(400))!r}")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            took.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return took


async def _chunk_rate(side: Side, model: str) -> float:
    """Chunks a second that arrive over all streams; raises where one is missing."""
    body = (
        b'{"model":"%b","stream":true,"messages":[{"role":"user","content":"What is in this image?"}]}' % model.encode()
    )
    message = _message(body, side.key)

    async def stream() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
        writer.write(message)
        chunks, tail = 0, b""
        while b"data: [DONE]" not in tail:
            data = await reader.read(1 << 18)
            if not data:
                raise RuntimeError(f"{side.name} ended a stream early: {tail[-300:]!r}")
            tail = tail[-20:] + data
            chunks += data.count(b'"content":"yes"') + data.count(b'"content": "yes"')
        writer.close()
        return chunks

    began = time.perf_counter()
    counts = await asyncio.gather(*(stream() for _ in range(STREAMS)))
    seconds = time.perf_counter() - began
    if sum(counts) < 0.99 * STREAMS * CHUNKS:  # one that lies across two reads is not seen
        raise RuntimeError(f"{side.name} lost chunks: {sum(counts)} of {STREAMS * CHUNKS}")
    return STREAMS * CHUNKS / seconds


def _message(body: bytes, key: str) -> bytes:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _messages(case: Case, key: str) -> Iterator[bytes]:
    """Requests of a case, without end. In the middle of each new picture stands a number, in base64's alphabet."""
    message = _message(case.body, key)
    if not case.is_new:
        yield from itertools.repeat(message)
    changed, digits = bytearray(message), 8
    parts = message.split(_BASE64)
    ends = itertools.accumulate(len(part) + len(_BASE64) for part in parts)
    places = [end + part.index(b'"') // 2 for end, part in zip(ends, parts[1:], strict=False)]
    for number in itertools.count():
        for place in places:
            changed[place : place + digits] = b"%0*d" % (digits, number)
        yield bytes(changed)


def _cases() -> list[Case]:
    text, one, two = body_of(MODEL), body_of(MODEL, jpeg(102_000)), body_of(MODEL, jpeg(355_000), jpeg(355_000))
    return [
        Case("text", text, 800, 25, 0.6),
        Case("137 KB", one, 480, 15, 0.8),
        Case("a new picture", one, 480, is_new=True),
        Case("950 KB", two, 160, 8, 1.6),
        Case("two new pictures", two, 160, is_new=True),
    ]


def _cpu_s(process: psutil.Process | None) -> float:
    """Processor seconds of a process and all that it started; Linux counts them in nanoseconds."""
    if process is None:
        return 0.0
    total = 0
    for each in (process, *process.children(recursive=True)):
        for task in Path(f"/proc/{each.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@contextmanager
def program(*arguments: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run a program of this folder; the port that it prints, and its process."""
    with subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline()), psutil.Process(process.pid)
        finally:
            process.terminate()


@contextmanager
def _stand_in() -> Iterator[int]:
    with program("bench.standin") as (port, _):
        yield port


@contextmanager
def _sightline(name: str, config: Path, text: str) -> Iterator[Side]:
    """One with a key that has limits, which are not reached."""
    config.write_text(text)
    with LiveServer("--config", str(config)) as service:
        assert service.process is not None
        database = Database.in_folder(service.data)
        limited = Keys(database).create(PLENTY)[1]
        database.close()
        yield Side(name, urlsplit(service.url).port or 80, limited, psutil.Process(service.process.pid))


@contextmanager
def _litellm(folder: Path, upstream: int) -> Iterator[Side]:
    config = folder / "litellm.yaml"
    entries = "".join(
        f"  - model_name: {name}\n    litellm_params: {{model: openai/{name}, api_key: none, "
        f"api_base: 'http://127.0.0.1:{upstream}/v1'}}\n"
        for name in (MODEL, PACED)
    )
    rest = f"general_settings: {{master_key: {KEY}}}\nlitellm_settings: {{telemetry: false}}\n"
    config.write_text(f"model_list:\n{entries}{rest}")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [str(LITELLM / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    environ = {
        **os.environ,
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
    }
    with (folder / "litellm.log").open("wb") as log:
        process = subprocess.Popen([*command, "--num_workers", "1"], env=environ, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "litellm.log")
        yield Side("litellm", port, KEY, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    due = time.monotonic() + 180
    while time.monotonic() < due and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"LiteLLM did not start:\n{log.read_text()[-2000:]}")


def _set_up_litellm(console: Console) -> None:
    ready, wanted = LITELLM / ".ready", hashlib.sha256(LITELLM_LOCK.read_bytes()).hexdigest()
    if ready.exists() and ready.read_text() == wanted:
        return
    console.print(f"Setting up LiteLLM in {LITELLM} (once; a few minutes) …")
    python = str(LITELLM / "bin" / "python")
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(LITELLM)], check=True)
    subprocess.run([python, *install, "-r", str(LITELLM_LOCK)], check=True)
    # Not byte-compiled, a missing import is retried at every request: 1.6 times the time.
    subprocess.run([python, "-m", "compileall", "-q", str(LITELLM / "lib")], check=False)
    ready.write_text(wanted)
