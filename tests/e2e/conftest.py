"""One real service for the whole run: real processes, a real port, every engine that comes with the package."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI

from sightline.testing.live_server import LiveServer
from support.live import PEEK, THEIRS
from support.programs import lacking, program

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def service() -> Iterator[LiveServer]:
    with LiveServer("--alias", f"{THEIRS}={PEEK}") as service:
        yield service


@pytest.fixture
def openai(service: LiveServer) -> Iterator[OpenAI]:
    """OpenAI's Python client. It retries by itself; here a refusal is to be seen."""
    with OpenAI(base_url=service.base_url, api_key=service.api_key, max_retries=0) as client:
        yield client


@pytest.fixture
def http(service: LiveServer) -> Iterator[httpx2.Client]:
    """A plain HTTP client with the key."""
    headers = {"authorization": f"Bearer {service.api_key}"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """OpenAI's npm client, installed once from the lock file."""
    program("node")
    modules, lock = NODE / "node_modules", NODE / "package-lock.json"
    installed = modules / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = [program("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=100)
        if done.returncode != 0:
            lacking(f"npm cannot install OpenAI's client here: {done.stderr[-300:]}")
    return modules
