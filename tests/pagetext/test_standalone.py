"""The package stands alone: copied to an empty folder it reads an image where nothing of Sightline can be imported."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pagetext

ROOT = Path(__file__).parents[2]
PACKAGE = Path(pagetext.__file__).parent
READ = """
import importlib.abc, importlib.util, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sightline":
            raise ModuleNotFoundError(f"no module named {name}", name=name)

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import numpy as np
import pagetext
from PIL import Image

assert pagetext.__file__.startswith(sys.argv[1])
assert pagetext.read(np.full((64, 64, 3), 255, np.uint8)) == []
print(pagetext.transcribe(np.asarray(Image.open(sys.argv[2]).convert("RGB"))))
assert not [name for name in sys.modules if name.partition(".")[0] == "sightline"]
"""
PURE = """
import sys

sys.path.insert(0, sys.argv[1])
import pagetext
import pagetext.layout.reading_order, pagetext.normalise, pagetext.plain_text

assert not {"cv2", "openvino", "rapidocr"} & sys.modules.keys()
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    shutil.copytree(PACKAGE, folder / "pagetext", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(code: str, *arguments: object) -> str:
    command = [sys.executable, "-I", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.engine
def test_it_reads_an_image_without_sightline(copy: Path) -> None:
    image = ROOT / "examples" / "images" / "receipt.jpg"

    assert run(READ, copy, image).strip() == image.with_suffix(".txt").read_text(encoding="utf-8").strip()


def test_its_geometry_loads_neither_networks_nor_opencv(copy: Path) -> None:
    """Training puts drawn texts in order with it, where numpy alone is installed."""
    run(PURE, copy)


def test_nothing_of_it_imports_sightline() -> None:
    imports = re.compile(r"^\s*(?:from|import)\s+sightline\b", re.MULTILINE)

    assert [file.name for file in PACKAGE.rglob("*.py") if imports.search(file.read_text(encoding="utf-8"))] == []


def test_the_wheel_holds_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    assert "src/pagetext" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_its_public_names() -> None:
    assert pagetext.__all__ == ["Line", "Page", "Reader", "WeightsError", "read", "transcribe"]
    assert all(getattr(pagetext, name) for name in pagetext.__all__)
