"""Runs a sample as it is, with `requests` answering for the sample picture's address and for nothing else.

Writes down which model the service said had answered.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace


def get(address: str) -> SimpleNamespace:
    """The sample picture."""
    assert address == os.environ["SAMPLE_ADDRESS"]
    return SimpleNamespace(content=Path(os.environ["SAMPLE_PICTURE"]).read_bytes())


requests = ModuleType("requests")
requests.get = get  # type: ignore[attr-defined]
sys.modules["requests"] = requests
names = runpy.run_path(sys.argv[1], run_name="__main__")
Path(os.environ["SAMPLE_MODEL"]).write_text(names["completion"].model)
