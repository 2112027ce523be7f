"""Programs that a machine may lack: a test that needs one skips where it is missing, and fails in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name)
    return found if found else lacking(f"{name} is not on this machine")


def lacking(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI, where nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
