"""Failpoints: named places in the real code where a test makes the world fail, by a seed.

Nothing happens unless a test arms a plan: in its own process by `arm`, in a service that it starts by the environment
variable `FAILPOINTS`. It is no setting. A plan is text, for example `seed=7 store.commit=error@0.1
store.write=slow:0.5`: at each point an action, `:` its argument, `@` how likely it is (1 unless said). A plan `@FILE`
is what the file says, and is read again whenever that changes, so that a running service can fail for a while.

Source: the idea and the variable's name are those of FreeBSD's fail(9) and of the `fail` crate.
"""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ACTIONS = ("error", "slow", "kill")


class FailpointError(OSError):
    """Raised at a point by the action `error`; an OSError, as a full disk or a lost connection would be."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What may happen at one point: `error`, `slow` for `argument` seconds, or `kill` this process."""

    action: str
    argument: float = 0.0
    chance: float = 1.0


class Plan:
    """The failures of each point, and the dice; the same seed rolls the same."""

    def __init__(self, text: str) -> None:
        self.failures: dict[str, list[Failure]] = {}
        seed = 0
        for item in text.split():
            name, _, what = item.partition("=")
            if name == "seed":
                seed = int(what)
            else:
                self.failures.setdefault(name, []).append(_parse(what))
        self.dice = random.Random(seed)


class PlanFile:
    """The plan in a file as it is now; one that is absent or cannot be read changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_ns = 0
        self._plan = Plan("")

    def plan(self) -> Plan:
        """Read it again if it was written since."""
        with suppress(OSError, ValueError):
            written_ns = self._path.stat().st_mtime_ns
            if written_ns != self._read_ns:
                self._plan = Plan(self._path.read_text(encoding="utf-8"))
                self._read_ns = written_ns
        return self._plan


def arm(text: str) -> None:
    """Follow the plan `text` from now on; empty disarms.

    Raises:
        ValueError: the plan cannot be read.
    """
    global _plan
    _plan = PlanFile(Path(text[1:])) if text.startswith("@") else Plan(text) if text.strip() else None


def failpoint(point: str) -> None:
    """Let happen what the plan has for `point`.

    Raises:
        FailpointError: by the action `error`.
    """
    if _plan is None:
        return
    plan = _plan.plan() if isinstance(_plan, PlanFile) else _plan
    for failure in plan.failures.get(point, ()):
        if plan.dice.random() >= failure.chance:
            continue
        if failure.action == "slow":
            time.sleep(failure.argument)
        elif failure.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise FailpointError(f"injected at {point}")


def _parse(text: str) -> Failure:
    what, _, chance = text.partition("@")
    action, _, argument = what.partition(":")
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is none of {', '.join(ACTIONS)}")
    return Failure(action, float(argument or 0), float(chance or 1))


_plan: Plan | PlanFile | None = None
arm(os.environ.get("FAILPOINTS", ""))
