"""What is learnt when: from how far a run is to what it does now.

In: the time a run may take in all, and what it has taken. Out: a `Lesson`: whether the language model learns, how much
of its gradient reaches the tower, the learning rate. Counted in time rather than in steps, because a lent machine is
lent for minutes, and the end of the schedule must fall at their end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from optimiser import rate_at

WARMUP_STEPS = 100


@dataclass(frozen=True, slots=True)
class Course:
    """`total_s` in all; the first `tower_share` of it the tower learns alone, from what its patches show.

    Then both learn; the words' gradient reaches the tower little by little over `opening_share`, since a language
    model that knows nothing yet has nothing to tell it.
    """

    total_s: float
    tower_share: float
    dense_weight: float
    """Of what patches show, once words are learnt beside it."""
    opening_share: float = 0.08
    scale: float = 1.0
    """Factor on the learning rates."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one step does. `gate` is the share of the words' gradient that reaches the tower."""

    speaks: bool
    gate: float
    dense_weight: float
    rate: float


class Clock:
    """How far a run is, over all of its legs; stands still until the first step of a leg is done."""

    def __init__(self, course: Course, *, spent_s: float, steps: int, fresh: bool) -> None:
        self.course, self.spent_s, self.steps, self.fresh = course, spent_s, steps, fresh
        self.leg_steps = self.speaking_steps = 0
        self.started: float | None = None

    def tick(self) -> None:
        """Count a step; the first one of a leg starts the time, as it also compiles."""
        self.steps += 1
        self.leg_steps += 1
        if self.started is None:
            self.started = time.monotonic()

    @property
    def now_s(self) -> float:
        return self.spent_s + (time.monotonic() - self.started if self.started is not None else 0.0)

    @property
    def progress(self) -> float:
        return min(1.0, self.now_s / self.course.total_s)

    def lesson(self) -> Lesson:
        """Return what the next step is to do."""
        course, progress = self.course, self.progress
        speaks = progress >= course.tower_share
        gate = min(1.0, max(0.0, (progress - course.tower_share) / course.opening_share)) if speaks else 0.0
        self.speaking_steps += speaks
        # Rates rise anew where the optimiser is fresh and, unless a leg begins later than that, where words join.
        joins = speaks and self.speaking_steps < self.leg_steps
        young = min(self.leg_steps + 1 if self.fresh else WARMUP_STEPS, self.speaking_steps if joins else WARMUP_STEPS)
        rise = min(1.0, young / WARMUP_STEPS)
        return Lesson(speaks, gate, course.dense_weight if speaks else 1.0, course.scale * rise * rate_at(progress))
