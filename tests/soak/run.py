"""`make soak`: kill and restart real services under load, and hold the ledger to what the clients received.

Prints what came of it; exits non-zero when anything is wrong. `--seed N` chooses the same processes to kill again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from soak import kills, restarts
from soak.kills import Result
from soak.place import place

_MOST_SHOWN = 20


def main() -> int:
    """Read the arguments, run, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--restarts", type=int, default=50)
    options.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    options.add_argument("--seed", type=int, default=time.time_ns() // 10**9)
    options.add_argument("--minutes", type=float, default=30, help="stop each part after so long")
    given = options.parse_args()
    console = Console(soft_wrap=True)
    kinds = ("sqlite", "postgres") if given.database == "both" else (given.database,)
    problems = 0
    for kind in kinds:
        for name, count in (("kills", given.kills), ("restarts", given.restarts)):
            if count:
                result, took_s = _run(console, name, kind, count, given.seed, given.minutes)
                _show(console, f"{kind}: {result.done} of {count} {name}, seed {given.seed}, {took_s:.0f} s", result)
                problems += len(result.problems)
    console.print(f"{problems} problems; the same again with --seed {given.seed}")
    return 1 if problems else 0


def _run(console: Console, name: str, kind: str, count: int, seed: int, minutes: float) -> tuple[Result, float]:
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=console) as progress,
        tempfile.TemporaryDirectory(prefix="sightline-soak-") as folder,
        place(kind, Path(folder)) as where,
    ):
        bar = progress.add_task(f"{kind}: {name}", total=count)

        def one_more() -> None:
            progress.advance(bar)

        if name == "kills":
            result = asyncio.run(kills.run(where, count, seed, minutes, one_more))
        else:
            result = asyncio.run(restarts.run(where, count, minutes, one_more))
    return result, time.monotonic() - began


def _show(console: Console, title: str, result: Result) -> None:
    table = Table("what", "how many", title=title)
    for name, count in sorted(result.figures.items()):
        table.add_row(name, f"{count:,}")
    console.print(table)
    for problem in result.problems[:_MOST_SHOWN]:
        console.print(problem, markup=False)


if __name__ == "__main__":
    sys.exit(main())
