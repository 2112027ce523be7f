"""Prefixed ids that sort by the time they were made, e.g. `chatcmpl-019a3f…`."""

from __future__ import annotations

import os
import time


def new_id(prefix: str) -> str:
    """Make an id: `prefix`, 12 hex digits of milliseconds since 1970, 16 random hex digits."""
    return f"{prefix}{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"
