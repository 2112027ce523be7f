"""The line before one model: so many requests run, so many wait, and the keys that wait take turns.

In comes a key, out come places for as long as a request runs: one for each of its answers. A key that sends a hundred
times as much as others gets a longer row of its own, not more turns. Beside others its row gets no longer than the part
of the line that is still free, so that there is room for who comes next: a refusal is to come at once, not to somebody
who has waited. Only when the line is full all the same and a key with fewer places comes, the newest request of the key
with the most gives way. Knows nothing of models or of limits of keys.

Source: Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, OrderedDict, deque

from sightline.errors import EngineOverloaded

_WEIGHT = 0.1
"""Of the newest request in the mean service time: the last ten or twenty count."""


class Turn:
    """A request that waits for its `places`: comes to an end with None, its turn, or with the refusal to raise."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.outcome: asyncio.Future[EngineOverloaded | None] = asyncio.get_running_loop().create_future()

    def has_left(self) -> bool:
        """Whether its task was cancelled and is on its way out of the line."""
        return self.outcome.cancelled()

    def is_granted(self) -> bool:
        """Whether it has a place, though its task may not have run since."""
        return self.outcome.done() and not self.outcome.cancelled() and self.outcome.result() is None


class Line:
    """At most `max_running` places are taken at once, at most `max_waiting` requests wait for one."""

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._running: Counter[str] = Counter()
        self._taken = 0  # the sum of them
        self._waiting: OrderedDict[str, deque[Turn]] = OrderedDict()  # the first key is next
        self.service_s = 0.0

    @property
    def running(self) -> int:
        """Places that are taken."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait for places; none do while those that the first of them wants are free."""
        return sum(map(len, self._waiting.values()))

    def has_room(self, places: int = 1) -> bool:
        """Whether so many places are free and nobody waits for them."""
        return not self._waiting and self._taken + self._part(places) <= self._max_running

    def wait_s(self) -> int:
        """How long one that came now would wait, in whole seconds: who is ahead, at the pace of late; at least 1."""
        return max(1, math.ceil((self.waiting + 1) * self.service_s / self._max_running))

    def would_refuse(self, key: str, places: int = 1) -> EngineOverloaded | None:
        """Why a request of `key` would be refused if it came now; None where it would run, wait or displace another."""
        free = self._max_waiting - self.waiting
        if self.has_room(places) or (free > 0 and not self._has_its_part(key, free)):
            return None
        if free <= 0 and self._held(key) + 1 < self._held(self._greediest(key)):
            return None
        return self._refusal()

    async def enter(self, key: str, places: int = 1) -> None:
        """Take places, once it is this key's turn, which `leave` gives up. Cancelling withdraws at any moment.

        More than there are are all of them: so long nobody else runs.

        Raises:
            EngineOverloaded: the line is full, at once; or, later, gave way to a key with fewer places.
        """
        places = self._part(places)
        if self._waiting or self._taken + places > self._max_running:
            await self._wait(key, places)
        else:
            self._take(key, places)

    def leave(self, key: str, took_s: float, places: int = 1) -> None:
        """Give up places that were taken for `took_s`."""
        self.service_s += (took_s - self.service_s) * (_WEIGHT if self.service_s else 1)
        self._free(key, self._part(places))

    def _part(self, places: int) -> int:
        return 1 if places == 1 else min(places, self._max_running)

    async def _wait(self, key: str, places: int) -> None:
        refusal = self.would_refuse(key, places)
        if refusal is not None:
            raise refusal
        if self.waiting >= self._max_waiting:
            self._displace(self._greediest(key))
        turn = Turn(places)
        self._waiting.setdefault(key, deque()).append(turn)
        self._call()  # who gave way may have waited for more places than this
        has_place = False
        try:
            refusal = await turn.outcome
            if refusal is not None:
                raise refusal
            has_place = True
        finally:
            if not has_place:
                self._withdraw(key, turn)

    def _withdraw(self, key: str, turn: Turn) -> None:
        if turn.is_granted():  # cancelled in the same instant
            self._free(key, turn.places)
        elif turn in self._waiting.get(key, ()):
            self._remove(key, turn)
            self._call()

    def _free(self, key: str, places: int) -> None:
        """Give up places of `key`; the next in line has them at once, before anybody who comes."""
        self._taken -= places
        self._running[key] -= places
        if not self._running[key]:
            del self._running[key]
        self._call()

    def _call(self) -> None:
        """Give those whose turn it is their places, as long as they are free."""
        while self._waiting:
            turn_of, turns = next(iter(self._waiting.items()))
            turn = turns[0]
            if turn.has_left():
                self._remove(turn_of, turn)
                continue
            if self._taken + turn.places > self._max_running:
                return
            self._remove(turn_of, turn)
            if turn_of in self._waiting:
                self._waiting.move_to_end(turn_of)
            self._take(turn_of, turn.places)
            turn.outcome.set_result(None)

    def _take(self, key: str, places: int) -> None:
        self._taken += places
        self._running[key] += places

    def _has_its_part(self, key: str, free: int) -> bool:
        """Whether `key` has as many waiting as are free, beside others that run or wait; alone it may have them all."""
        is_alone = self._waiting.keys() <= {key} and self._running.keys() <= {key}
        return not is_alone and len(self._waiting.get(key, ())) >= free

    def _greediest(self, key: str) -> str:
        """The key with the most places of those that wait; `key` where none do."""
        return max(self._waiting, key=self._held, default=key)

    def _displace(self, key: str) -> None:
        """Have `key` give up its newest request."""
        turn = self._waiting[key][-1]
        self._remove(key, turn)
        if not turn.has_left():
            turn.outcome.set_result(self._refusal())

    def _held(self, key: str) -> int:
        return self._running[key] + len(self._waiting.get(key, ()))

    def _remove(self, key: str, turn: Turn) -> None:
        self._waiting[key].remove(turn)
        if not self._waiting[key]:
            del self._waiting[key]

    def _refusal(self) -> EngineOverloaded:
        seconds = self.wait_s()
        return EngineOverloaded(
            f"{self.running} requests to this model are running and {self.waiting} are waiting, the limits are "
            f"{self._max_running} and {self._max_waiting}; send the request again in {seconds} s.",
            retry_after_s=seconds,
        )
