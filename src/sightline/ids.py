"""Prefixed ids that sort by the time they were made, e.g. `chatcmpl-019a3f…`. They are names: no id is a secret."""

from __future__ import annotations

import os
import random
import time
from datetime import datetime

MOST_CHARACTERS = 200
"""Of a model's id."""
_random = random.Random()  # asking the system for each id would take longer than the rest of it
os.register_at_fork(after_in_child=_random.seed)


def new_id(prefix: str) -> str:
    """Make an id: `prefix`, 12 hex digits of milliseconds since 1970, 16 random hex digits."""
    number = time.time_ns() // 1_000_000 << 64 | _random.getrandbits(64)
    return prefix + number.to_bytes(14, "big").hex()  # half the time of formatting


def first_id(prefix: str, at: datetime) -> str:
    """Return what sorts before every id made at `at` or later, and after every one made before."""
    return f"{prefix}{max(0, int(at.timestamp() * 1000)):012x}"


def is_name(text: str) -> bool:
    """Whether a text can be a model's id: a column of the ledger holds it, and terminals show it."""
    return 0 < len(text) <= MOST_CHARACTERS and text.isprintable()
