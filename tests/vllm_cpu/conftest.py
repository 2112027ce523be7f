"""vLLM on the processor with one Sightline in front of it, and another with the embedded engine: one model twice.

`make test-scale` installs vLLM in an environment of its own, `.venv-vllm`, for it pins what we pin otherwise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import openai
import pytest

from sightline.testing.live_server import LiveServer
from support.live import PEEK
from support.models import BUNDLED_FOLDER, CARD, IMAGE_TOKENS, SIDE_PX
from support.programs import lacking
from support.sockets import free_ports
from vllm_cpu.checkpoint import write_checkpoint

sys.path.insert(0, str(Path(__file__).parents[2] / "training"))  # its pictures are what the model knows

PYTHON = Path(".venv-vllm/bin/python").absolute()
READY_S = 300.0
ARGUMENTS = (
    "--dtype float32 --max-model-len 2048 --max-num-seqs 8 --max-logprobs 20 --enforce-eager "
    "--enable-auto-tool-choice --tool-call-parser hermes"
)
ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parent / "site"),
    "VLLM_CPU_OMP_THREADS_BIND": "0-1",
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
CONFIG = """
[[upstreams]]
urls = ["{url}"]
[upstreams.models."{model}"]
id = "peek"
image = {{kind = "square", size_px = {side_px}, tokens = {tokens}}}
ocr_max_chars = {ocr_max_chars}
prompt_repetition = {prompt_repetition}
[upstreams.models."{tooled}"]
id = "peek"
image = {{kind = "square", size_px = {side_px}, tokens = {tokens}}}
supported_parameters = ["max_tokens", "temperature", "top_p", "seed", "tools", "tool_choice"]
"""
TOOLED = "peek-with-tools"
"""The same model, of which the settings say that it takes tools."""


class Side(NamedTuple):
    """A service that has the model, and a client of it."""

    service: LiveServer
    client: openai.OpenAI


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a vLLM that serves the bundled checkpoint."""
    if not PYTHON.exists():
        lacking("no vLLM; run make test-scale")
    checkpoint, [port] = tmp_path_factory.mktemp("peek"), free_ports(1)
    write_checkpoint(checkpoint)
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
    command += ["--served-model-name", "peek", "--host", "127.0.0.1", "--port", str(port), *ARGUMENTS.split()]
    command += ["--generation-config", "vllm", "--limit-mm-per-prompt", '{"image": 2}']
    log = tmp_path_factory.mktemp("vllm") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=file, stderr=file)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + READY_S
        while not is_up(url):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"vLLM did not start:\n{log.read_text()[-4000:]}")
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def is_up(url: str) -> bool:
    """Whether a vLLM answers."""
    try:
        return httpx2.get(f"{url}/health").status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="session")
def through(vllm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """Sightline in front of vLLM."""
    config = tmp_path_factory.mktemp("config") / "sightline.toml"
    told = {name: json.dumps(CARD.get(name, False)) for name in ("ocr_max_chars", "prompt_repetition")}
    config.write_text(CONFIG.format(url=vllm, model=PEEK, tooled=TOOLED, side_px=SIDE_PX, tokens=IMAGE_TOKENS, **told))
    with LiveServer("--config", str(config)) as service:
        yield Side(service, client_of(service))


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """Sightline with its own engine, which computes as precisely as that vLLM does."""
    config = tmp_path_factory.mktemp("config") / "sightline.toml"
    config.write_text(f'[[engines]]\nkind = "genai"\noptions = {{path = "{BUNDLED_FOLDER}", precision = "f32"}}\n')
    with LiveServer("--config", str(config)) as service:
        yield Side(service, client_of(service))


def client_of(service: LiveServer) -> openai.OpenAI:
    """OpenAI's client for a service."""
    return openai.OpenAI(base_url=service.base_url, api_key=service.api_key, max_retries=0, timeout=60)
