"""How long to leave something alone that has failed: twice as long each time, up to a limit."""

from __future__ import annotations

import time


class Backoff:
    """A delay that grows from `first_s` to `longest_s`; none at the beginning."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._until = 0.0
        self.delay_s = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether the delay is not over."""
        return time.monotonic() < self._until

    def extend(self) -> None:
        """Begin the next delay, twice as long as the last."""
        self.delay_s = min(max(2 * self.delay_s, self._first_s), self._longest_s)
        self._until = time.monotonic() + self.delay_s

    def undo(self) -> None:
        """Take back the last `extend`."""
        self.delay_s = self.delay_s / 2 if self.delay_s > self._first_s else 0.0

    def reset(self) -> None:
        """Begin anew: what failed has done well."""
        self.delay_s = 0.0
