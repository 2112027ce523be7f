"""Random processes are killed at random moments under load; then the ledger must tell what the clients know."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from soak import books
from soak.clients import Load
from soak.place import Place, Process
from support.sockets import free_ports

PROCESSES = 3
CLIENTS = 6
USUAL_START_S = 2.0
"""On a machine where it takes longer all else does too, and a process must live long enough to answer anything."""


@dataclass(slots=True)
class Result:
    """What was done and seen, and whatever is wrong."""

    done: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


async def run(place: Place, kills: int, seed: int, minutes: float, on_kill: Callable[[], None]) -> Result:
    """Kill `kills` times or until the time is up, and check."""
    result = Result()
    processes = [place.process(port) for port in free_ports(PROCESSES)]
    for process in processes:
        await process.start()
    load = Load(processes, place.keys, seed)
    starting = [asyncio.create_task(process.until_ready()) for process in processes]
    try:
        clients = [asyncio.create_task(load.client(number)) for number in range(CLIENTS)]
        await _kill(place, load, starting, result, kills, seed, time.monotonic() + minutes * 60, on_kill)
        await asyncio.gather(*starting)  # somebody must be up for those that are sent again
        load.stopping = True
        await asyncio.gather(*clients)
        result.problems += await _stop(load.processes)
        # What the last killed ones left is marked by the next start, at the latest.
        last = place.process(free_ports(1)[0])
        load.processes.append(last)
        await last.start()
        await last.until_ready()
        result.problems += await _stop([last])
    finally:
        for process in load.processes:
            process.kill()
        for process in load.processes:
            with suppress(AssertionError):
                await process.end()
    result.problems += books.problems(place.database, load.asked)
    result.figures += load.outcomes
    result.figures.update({f"rows {name}": count for name, count in books.outcomes(place.database).items()})
    result.figures["answers received whole"] = sum(len(asked.answers) for asked in load.asked)
    result.figures["questions"] = len(load.asked)
    return result


async def _kill(
    place: Place,
    load: Load,
    starting: list[asyncio.Task[None]],
    result: Result,
    kills: int,
    seed: int,
    deadline: float,
    on_kill: Callable[[], None],
) -> None:
    dice = random.Random(seed)
    while result.done < kills and time.monotonic() < deadline:
        if failed := [task for task in starting if task.done() and task.exception()]:
            await failed[0]
        slowest_s = max(process.start_s for process in load.processes)
        await asyncio.sleep(dice.uniform(0.02, 0.5) * max(1.0, slowest_s / USUAL_START_S))
        up = [at for at, process in enumerate(load.processes) if process.ready.is_set()]
        if not up:
            continue
        at = dice.choice(up)
        dead = load.processes[at]
        dead.kill()
        await dead.end()
        load.processes[at] = place.process(dead.port)
        await load.processes[at].start()
        starting[at] = asyncio.create_task(load.processes[at].until_ready())
        result.done += 1
        on_kill()


async def _stop(processes: list[Process]) -> list[str]:
    for process in processes:
        process.terminate()
    statuses = [await process.end() for process in processes]
    return [f"a process that was asked to stop exited with {status}" for status in statuses if status]
