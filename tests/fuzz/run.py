"""`make fuzz`: a million bodies through the parser and the image reader on every core, a sample through the whole API.

Prints what came of them; exits non-zero when anything crashed or any answer was a 5xx, with the number of each case,
so that `--case N` shows it again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

from pebble import ProcessExpired, ProcessPool
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fuzz.bodies import body
from fuzz.cases import random_of, try_case
from fuzz.service import service
from support.bodies import CHAT

_CHUNK = 1000
_MOST_SHOWN = 20
Result = tuple[Counter[str], list[tuple[int, str]]]


def run_chunk(seed: int, first: int, count: int) -> Result:
    """Run some cases in this process; outcomes, and the cases that crashed with their traces."""
    outcomes: Counter[str] = Counter()
    crashes = []
    for number in range(first, first + count):
        try:
            outcomes += try_case(seed, number)
        except Exception:
            crashes.append((number, traceback.format_exc()))
    return outcomes, crashes


async def run_sample(seed: int, numbers: range) -> Result:
    """Send some of the cases to the whole application, the decoding processes included."""
    outcomes: Counter[str] = Counter()
    crashes: list[tuple[int, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with service(Path(folder)) as client:
            for number in numbers:
                response = await client.post(CHAT, content=body(random_of(seed, number)))
                outcomes[f"API {response.status_code}"] += 1
                if response.status_code >= 500:
                    crashes.append((number, response.text))
    return outcomes, crashes


def run(seed: int, bodies: int, minutes: float, sample_every: int) -> Result:
    """Run everything, on every core, until it is done or the time is up."""
    outcomes: Counter[str] = Counter()
    crashes: list[tuple[int, str]] = []
    deadline = time.monotonic() + minutes * 60
    workers = len(os.sched_getaffinity(0))
    with Progress() as progress, ProcessPool(workers, context=get_context("spawn")) as pool:
        bar = progress.add_task("bodies", total=bodies)
        waiting = []
        starts = iter(range(0, bodies, _CHUNK))
        while True:
            while (
                len(waiting) < workers * 2 and time.monotonic() < deadline and (start := next(starts, None)) is not None
            ):
                count = min(_CHUNK, bodies - start)
                waiting.append((start, count, pool.schedule(run_chunk, args=(seed, start, count))))
            if not waiting:
                break
            start, count, chunk = waiting.pop(0)
            try:
                some, bad = chunk.result()
            except ProcessExpired as error:
                some, bad = Counter(), [(start, f"the process died in this case or one of the next {count}: {error}")]
            outcomes += some
            crashes += bad
            progress.advance(bar, count)
    done = sum(count for outcome, count in outcomes.items() if outcome[0].isdigit())
    some, bad = asyncio.run(run_sample(seed, range(0, done, sample_every)))
    return outcomes + some, crashes + bad


def main() -> int:
    """Read the arguments, run, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bodies", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=time.time_ns() // 10**9)
    options.add_argument("--minutes", type=float, default=60, help="stop beginning new cases after so long")
    options.add_argument("--sample-every", type=int, default=100, help="send each so-manieth body to the whole API")
    options.add_argument("--case", type=int, help="show one case of --seed and run it alone")
    given = options.parse_args()
    console = Console(soft_wrap=True)
    if given.case is not None:
        console.print(body(random_of(given.seed, given.case)), markup=False)
        console.print(try_case(given.seed, given.case))
        return 0
    began = time.monotonic()
    outcomes, crashes = run(given.seed, given.bodies, given.minutes, given.sample_every)
    table = Table("outcome", "bodies", title=f"seed {given.seed}, {time.monotonic() - began:.0f} s")
    for outcome, count in sorted(outcomes.items()):
        table.add_row(outcome, f"{count:,}")
    console.print(table)
    for number, trace in crashes[:_MOST_SHOWN]:
        console.print(f"case {number}:\n{trace}", markup=False)
    console.print(f"{len(crashes)} crashes and 5xx; show one with --seed {given.seed} --case NUMBER")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
