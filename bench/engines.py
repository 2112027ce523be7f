"""The embedded engine beside vLLM on a processor and Transformers: one checkpoint, one run, two cores, taking turns.

The checkpoint is the bundled model, written back into Hugging Face's files, in bfloat16 everywhere; nothing is read to
it. Sightline and vLLM are asked over HTTP as clients ask them, Sightline with its keys, ledger and receipts;
Transformers is called in its own process, one picture or one static batch. Every picture is new. Who is not measured is
stopped meanwhile (SIGSTOP). Needs `.venv-vllm`, which `make test-scale` makes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx2
import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

import sightline
from bench.batching import picture
from sightline.settings import BUNDLED
from sightline.testing.live_server import LiveServer

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-vllm/bin/python"
SITE = ROOT / "tests/vllm_cpu/site"
MODEL = "sightline/peek-12m/bf-16"
QUESTION = "Describe this image."
AT_ONCE = 16
ROUNDS = 7
ALONE = 8
MOST_TOKENS = 64
PROMISED = 1.3
READY_S = 280.0
ARGUMENTS = "--dtype bfloat16 --max-model-len 2048 --max-num-seqs 16 --generation-config vllm --host 127.0.0.1"
CORES = (0, 1)
"""Of the machine, for each side."""
ENVIRONMENT = {
    "PYTHONPATH": str(SITE),
    "VLLM_CPU_OMP_THREADS_BIND": f"{CORES[0]}-{CORES[-1]}",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(slots=True)
class Figures:
    """What one side did: a value a round."""

    first_ms: list[float] = field(default_factory=list)
    tokens_s: list[float] = field(default_factory=list)
    images_s: list[float] = field(default_factory=list)
    at_once_tokens_s: list[float] = field(default_factory=list)


class Side(Protocol):
    """Something that answers questions about pictures."""

    name: str
    pid: int

    def alone(self, url: str) -> tuple[float, float, int]:
        """Ask about one picture; seconds to the first token, seconds in all, tokens."""
        ...

    def together(self, urls: list[str]) -> tuple[float, int]:
        """Ask about pictures at once; seconds, tokens."""
        ...


def run(console: Console) -> bool | None:
    """Measure in turn and print the medians; False when images a second are under what is promised."""
    if not PYTHON.exists():
        console.print("engines: no .venv-vllm; make test-scale makes it")
        return None
    with ExitStack() as stack:
        allowed = os.sched_getaffinity(0)
        stack.callback(os.sched_setaffinity, 0, allowed)
        os.sched_setaffinity(0, CORES)  # All that is started here keeps to these.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _write_checkpoint(folder)
        sides = [stack.enter_context(one) for one in (_sightline(), _transformers(folder), _vllm(folder, console))]
        for side in sides:
            stack.callback(_let, side.pid, signal.SIGCONT)
        figures = {side.name: Figures() for side in sides}
        draw = random.Random(11)
        for number in track(range(ROUNDS + 1), "engines", console=console, transient=True):
            for side in sides:
                for other in sides:
                    _let(other.pid, signal.SIGCONT if other is side else signal.SIGSTOP)
                _round(side, draw, figures[side.name] if number else Figures())
    return _print(console, figures)


def _round(side: Side, draw: random.Random, into: Figures) -> None:
    for _ in range(ALONE):
        first_s, whole_s, tokens = side.alone(picture(draw))
        into.first_ms.append(first_s * 1000)
        if tokens > 1:
            into.tokens_s.append((tokens - 1) / (whole_s - first_s))
    seconds, tokens = side.together([picture(draw) for _ in range(AT_ONCE)])
    into.images_s.append(AT_ONCE / seconds)
    into.at_once_tokens_s.append(tokens / seconds)


def _print(console: Console, figures: dict[str, Figures]) -> bool:
    table = Table(title=f"{MODEL}, bfloat16, {ROUNDS} rounds, medians", box=None)
    for column in ("", "first token ms", "tokens/s", f"images/s, {AT_ONCE} at once", f"tokens/s, {AT_ONCE} at once"):
        table.add_column(column, justify="right")
    for name, one in figures.items():
        columns = (one.first_ms, one.tokens_s, one.images_s, one.at_once_tokens_s)
        table.add_row(name, *(f"{statistics.median(column):.1f}" for column in columns))
    console.print(table)
    ours, theirs = figures["sightline"].images_s, figures["vllm"].images_s
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    median = statistics.median(ratios)
    console.print(f"images/s beside vLLM: {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), promised {PROMISED:g}")
    return median >= PROMISED


class Served:
    """A server that speaks OpenAI's protocol."""

    def __init__(self, name: str, pid: int, base_url: str, api_key: str, model: str) -> None:
        self.name, self.pid = name, pid
        self._base_url, self._model = base_url, model
        self._headers = {"authorization": f"Bearer {api_key}"}
        self._loop = asyncio.new_event_loop()
        self._client = httpx2.AsyncClient(base_url=base_url, headers=self._headers, timeout=120)

    def alone(self, url: str) -> tuple[float, float, int]:
        """Ask with a stream."""
        return self._loop.run_until_complete(self._stream(url))

    async def _stream(self, url: str) -> tuple[float, float, int]:
        body = {**self._body(url), "stream": True, "stream_options": {"include_usage": True}}
        began, first_s, tokens = time.perf_counter(), 0.0, 0
        whole_s = 0.0
        async with self._client.stream("POST", "chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line[6:])
                if event["choices"]:  # The last one has no content: the token that ends the answer is counted as well.
                    whole_s = time.perf_counter() - began
                    if event["choices"][0]["delta"].get("content"):
                        first_s = first_s or whole_s
                elif event.get("usage"):
                    tokens = event["usage"]["completion_tokens"]
        return first_s, whole_s, tokens

    def together(self, urls: list[str]) -> tuple[float, int]:
        """Ask for plain answers."""
        return self._loop.run_until_complete(self._all(urls))

    async def _all(self, urls: list[str]) -> tuple[float, int]:
        began = time.perf_counter()
        posts = [self._client.post("chat/completions", json=self._body(url)) for url in urls]
        answers = await asyncio.gather(*posts)
        seconds = time.perf_counter() - began
        return seconds, sum(answer.raise_for_status().json()["usage"]["completion_tokens"] for answer in answers)

    def _body(self, url: str) -> dict[str, Any]:
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": QUESTION}]
        messages = [{"role": "user", "content": content}]
        return {"model": self._model, "messages": messages, "temperature": 0, "max_tokens": MOST_TOKENS}


class Transformers:
    """Transformers in a process of its own."""

    name = "transformers"

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._process = process

    def alone(self, url: str) -> tuple[float, float, int]:
        """Ask by itself."""
        first_s, whole_s, tokens = self._ask([url])
        return first_s, whole_s, int(tokens)

    def together(self, urls: list[str]) -> tuple[float, int]:
        """Ask as one static batch."""
        _, whole_s, tokens = self._ask(urls)
        return whole_s, int(tokens)

    def _ask(self, urls: list[str]) -> list[float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pictures = [url.partition(",")[2] for url in urls]
        self._process.stdin.write(
            json.dumps({"pictures": pictures, "question": QUESTION, "tokens": MOST_TOKENS}) + "\n"
        )
        self._process.stdin.flush()
        answer: list[float] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def _sightline() -> Iterator[Side]:
    """The bundled model as it is, but that nothing is read to it: the others have no transcriber."""
    shipped = Path(sightline.__file__).parent / "bundled" / BUNDLED[MODEL]
    card = json.loads((shipped / "sightline.json").read_text()) | {"ocr_max_chars": 0, "prompt_repetition": False}
    with tempfile.TemporaryDirectory() as folder:
        for file in shipped.iterdir():
            if file.name != "sightline.json":
                (Path(folder) / file.name).symlink_to(file)
        (Path(folder) / "sightline.json").write_text(json.dumps(card))
        with LiveServer("--model", folder) as service:
            assert service.process is not None
            yield Served("sightline", service.process.pid, service.base_url, service.api_key, MODEL)


@contextmanager
def _transformers(folder: Path) -> Iterator[Side]:
    command = [str(PYTHON), str(Path(__file__).with_name("reference.py")), str(folder)]
    with _started(command, folder / "transformers.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError((folder / "transformers.log").read_text()[-2000:])
        yield Transformers(process)


@contextmanager
def _vllm(folder: Path, console: Console) -> Iterator[Side]:
    with httpx2.Client() as client:
        port = _free_port()
        command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
        command += ["--served-model-name", "peek", "--port", str(port), *ARGUMENTS.split()]
        log = folder / "vllm.log"
        with _started(command, log) as process, console.status("vLLM compiles its model …"):
            deadline = time.monotonic() + READY_S
            while not _is_up(client, port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"vLLM did not start:\n{log.read_text()[-3000:]}")
                time.sleep(0.5)
            yield Served("vllm", process.pid, f"http://127.0.0.1:{port}/v1", "none", "peek")


@contextmanager
def _started(command: list[str], log: Path, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as file:
        environment = {**os.environ, **ENVIRONMENT}
        process = subprocess.Popen(command, env=environment, stderr=file, text=True, **({"stdout": file} | streams))
    try:
        yield process
    finally:
        _let(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait(30)


def _let(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and all that it has started."""
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        one.send_signal(number)


def _is_up(client: httpx2.Client, port: int) -> bool:
    try:
        return client.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx2.TransportError:
        return False


def _free_port() -> int:

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _write_checkpoint(folder: Path) -> None:
    """As the tests of vLLM do."""
    sys.path.insert(0, str(ROOT / "tests"))
    from vllm_cpu.checkpoint import write_checkpoint

    write_checkpoint(folder)
