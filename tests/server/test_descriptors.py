"""Room for connections among a process's open files."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from sightline.server.descriptors import with_room_for_connections
from sightline.settings import merge_settings
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
settings = with_room_for_connections(merge_settings({}, {"server.max_connections": wanted}, environ={}))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], settings.server.max_connections)
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "soft_then", "connections"),
    [
        (500, 4000, 100, 500, 100),  # enough as it is
        (500, 4000, 2000, 2256, 2000),  # raised as far as is needed
        (500, 1000, 2000, 1000, 744),  # raised as far as is allowed
        (150, 200, 2000, 200, 100),  # hardly anything is allowed
    ],
)
def test_limit_is_raised_or_connections_are_fewer(
    soft: int, hard: int, wanted: int, soft_then: int, connections: int
) -> None:
    """In a process of its own, since a hard limit cannot be raised again."""
    command = [sys.executable, "-c", SCRIPT, *map(str, (soft, hard, wanted))]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines()[-1].split() == [str(soft_then), str(connections)]
    assert ("fewer_connections" in done.stdout + done.stderr) == (connections < wanted)
