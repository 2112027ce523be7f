"""Prefixed ids that sort by the time they were made, e.g. `chatcmpl-019a3f…`."""

from __future__ import annotations

import os
import time
from datetime import datetime


def new_id(prefix: str) -> str:
    """Make an id: `prefix`, 12 hex digits of milliseconds since 1970, 16 random hex digits."""
    return f"{prefix}{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"


def first_id(prefix: str, at: datetime) -> str:
    """Return what sorts before every id made at `at` or later, and after every one made before."""
    return f"{prefix}{max(0, int(at.timestamp() * 1000)):012x}"
