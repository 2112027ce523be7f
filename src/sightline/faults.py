"""Faults on purpose: named points in the real code where a test can make the world fail, by a seed.

Nothing happens unless `arm` was called. A plan is text, for example `seed=7 store.commit=error@0.1
store.write=slow:0.5`: at each point an action, `:` its argument, `@` how likely it is (1 unless said).
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass

from sightline.errors import ConfigError

ACTIONS = ("error", "slow", "kill")


class InjectedFault(OSError):
    """Raised at a point by the action `error`; an OSError, as a full disk or a lost connection would be."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What may happen at one point: `error`, `slow` for `argument` seconds, or `kill` this process."""

    action: str
    argument: float = 0.0
    chance: float = 1.0


class Plan:
    """The faults of each point, and the dice; the same seed rolls the same."""

    def __init__(self, text: str) -> None:
        self.faults: dict[str, list[Fault]] = {}
        seed = 0
        for item in text.split():
            name, _, what = item.partition("=")
            if name == "seed":
                seed = int(what)
            else:
                self.faults.setdefault(name, []).append(_fault(what))
        self.dice = random.Random(seed)


_plan: Plan | None = None


def arm(text: str) -> None:
    """Follow the plan `text` from now on; empty disarms.

    Raises:
        ConfigError: the plan cannot be read.
    """
    global _plan
    try:
        _plan = Plan(text) if text.strip() else None
    except ValueError as error:
        raise ConfigError(f"faults: {error}") from error


def reach(point: str) -> None:
    """Let happen what the plan has for `point`.

    Raises:
        InjectedFault: by the action `error`.
    """
    if _plan is None:
        return
    for fault in _plan.faults.get(point, ()):
        if _plan.dice.random() >= fault.chance:
            continue
        if fault.action == "slow":
            time.sleep(fault.argument)
        elif fault.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise InjectedFault(f"injected at {point}")


def _fault(text: str) -> Fault:
    what, _, chance = text.partition("@")
    action, _, argument = what.partition(":")
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is none of {', '.join(ACTIONS)}")
    return Fault(action, float(argument or 0), float(chance or 1))
