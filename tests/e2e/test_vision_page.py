"""The three samples of the public vision guide, word for word, with only the base URL and the key changed.

The samples are read from the page itself. The address in them, of a picture on the web, is answered for by a stand-in
outside the sample's text, since tests have no network.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.testing.live_server import LiveServer
from support.live import PEEK
from support.pictures import encoded, quarters
from support.programs import program

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[3] / "shared" / "spec" / "vision.md"
STAND_INS = Path(__file__).parent / "samples"
THEIR_URL = "https://api.inference.net/v1"
ADDRESS = "https://upload.wikimedia.org/wikipedia/commons/3/3f/Crystal_Project_bug.png"


def sample(language: str, base_url: str) -> str:
    """A language's two steps from the page, one after the other."""
    if not PAGE.exists():
        pytest.skip("the public guide, ../shared/spec/vision.md, is not here")
    blocks = re.findall(rf"^  ```\w+ {language} .*\n((?:  .*\n|\n)*?)  ```$", PAGE.read_text(), re.MULTILINE)
    assert len(blocks) == 2
    text = "\n".join(re.sub(r"^  ", "", block, flags=re.MULTILINE) for block in blocks)
    assert text.count(THEIR_URL) == 1
    assert text.count(ADDRESS) == 1
    return text.replace(THEIR_URL, base_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with the picture in it."""
    (tmp_path / "image.png").write_bytes(encoded(quarters(64, 64)))
    return tmp_path


def run(service: LiveServer, folder: Path, *command: str, **environment: str) -> str:
    """Run a sample's command in `folder`; what it printed."""
    stand_ins = {
        "INFERENCE_API_KEY": service.api_key,
        "SAMPLE_ADDRESS": ADDRESS,
        "SAMPLE_PICTURE": str(folder / "image.png"),
        "SAMPLE_MODEL": str(folder / "model"),
    }
    environment = {**os.environ, **stand_ins, **environment}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_sample_runs_unchanged(service: LiveServer, folder: Path) -> None:
    (folder / "sample.py").write_text(sample("Python", service.base_url))

    printed = run(service, folder, sys.executable, str(STAND_INS / "run.py"), "sample.py")

    assert printed.strip()
    assert (folder / "model").read_text() == PEEK


def test_typescript_sample_runs_unchanged(service: LiveServer, folder: Path, node_modules: Path) -> None:
    # The sample has no type in it: it is a JavaScript module as it stands.
    (folder / "sample.mjs").write_text(sample("TypeScript", service.base_url))
    (folder / "node_modules").symlink_to(node_modules)

    printed = run(service, folder, program("node"), "--import", str(STAND_INS / "fetch.mjs"), "sample.mjs")

    assert printed.strip()
    assert (folder / "model").read_text() == PEEK


@pytest.mark.parametrize("source", ["image.png", ADDRESS])
def test_curl_sample_runs_unchanged(service: LiveServer, folder: Path, source: str) -> None:
    lines = sample("cURL", service.base_url).splitlines()
    # The page shows two ways to fill DATA_URI; the other one is left out.
    script = "\n".join(line for line in lines if not line.startswith("DATA_URI=") or source in line)
    path = f"{STAND_INS}{os.pathsep}{os.environ['PATH']}"

    printed = run(service, folder, program("bash"), "-euc", script, REAL_CURL=program("curl"), PATH=path)

    answer = json.loads(printed)
    assert answer["model"] == PEEK
    assert answer["choices"][0]["message"]["content"]
    assert answer["sightline"]["images"][0]["width"] == 64


def test_base64_of_the_curl_sample_breaks_lines(folder: Path) -> None:
    """The trap that the sample sets on GNU systems is in our tests, too."""
    done = subprocess.run([program("base64"), "-i", "image.png"], cwd=folder, capture_output=True, text=True)

    if "GNU" not in subprocess.run([program("base64"), "--version"], capture_output=True, text=True).stdout:
        pytest.skip("this machine's base64 is not GNU's")
    assert done.stdout.count("\n") > 1
