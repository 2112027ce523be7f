"""`python -m bench [NAME …]`: run the measurements, all or those named, and print what they compare."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module

from rich.console import Console

NAMES = ("front", "proxy", "ledger", "engines", "overload")


def main() -> int:
    """Run the named measurements in order; returns 1 when a ratio that is promised was not reached."""
    console = Console(highlight=False)
    names = sys.argv[1:] or NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        console.print(f"No measurement {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.")
        return 2
    console.print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
    reached = [import_module(f"bench.{name}").run(console) for name in names]
    return 0 if all(value is not False for value in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
