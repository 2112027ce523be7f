"""The queue before one model: so many requests run, so many wait, and the keys that wait take turns.

In comes a key, out come permits for as long as a request runs: one for each of its answers. A key that sends a hundred
times as much as others gets a longer row of its own, not more turns. Beside others its row gets no longer than the part
of the line that is still free, so that there is room for who comes next: a refusal is to come at once, not to somebody
who has waited. Only when the queue is full all the same and a key with fewer permits comes, the newest request of the
key with the most gives way. Knows nothing of models or of limits of keys.

Source: Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, OrderedDict, deque

from sightline.errors import EngineOverloaded

_WEIGHT = 0.1
"""Of the newest request in the mean service time: the last ten or twenty count."""


class Waiter:
    """A request that waits for its `permits`: comes to an end with None, its turn, or with the refusal to raise."""

    def __init__(self, permits: int) -> None:
        self.permits = permits
        self.outcome: asyncio.Future[EngineOverloaded | None] = asyncio.get_running_loop().create_future()

    def is_cancelled(self) -> bool:
        """Whether its task was cancelled and is on its way out of the queue."""
        return self.outcome.cancelled()

    def is_granted(self) -> bool:
        """Whether it has its permits, though its task may not have run since."""
        return self.outcome.done() and not self.outcome.cancelled() and self.outcome.result() is None


class FairQueue:
    """At most `max_running` permits are taken at once, at most `max_queued` requests wait for one."""

    def __init__(self, max_running: int, max_queued: int) -> None:
        self._max_running = max_running
        self._max_waiting = max_queued
        self._running: Counter[str] = Counter()
        self._taken = 0  # the sum of them
        self._waiting: OrderedDict[str, deque[Waiter]] = OrderedDict()  # the first key is next
        self.service_s = 0.0

    @property
    def running(self) -> int:
        """Permits that are taken."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait for permits; none do while those that the first of them wants are free."""
        return sum(map(len, self._waiting.values()))

    def has_room(self, permits: int = 1) -> bool:
        """Whether so many permits are free and nobody waits for them."""
        return not self._waiting and self._taken + self._capped(permits) <= self._max_running

    def wait_s(self) -> int:
        """How long one that came now would wait, in whole seconds: who is ahead, at the pace of late; at least 1."""
        return max(1, math.ceil((self.waiting + 1) * self.service_s / self._max_running))

    def would_refuse(self, key: str, permits: int = 1) -> EngineOverloaded | None:
        """Why a request of `key` would be refused if it came now; None where it would run, wait or displace another."""
        free = self._max_waiting - self.waiting
        if self.has_room(permits) or (free > 0 and not self._has_its_share(key, free)):
            return None
        if free <= 0 and self._held(key) + 1 < self._held(self._greediest(key)):
            return None
        return self._refusal()

    async def acquire(self, key: str, permits: int = 1) -> None:
        """Take permits, once it is this key's turn, which `release` gives up. Cancelling withdraws at any moment.

        More than there are are all of them: so long nobody else runs.

        Raises:
            EngineOverloaded: the queue is full, at once; or, later, gave way to a key with fewer permits.
        """
        permits = self._capped(permits)
        if self._waiting or self._taken + permits > self._max_running:
            await self._wait(key, permits)
        else:
            self._take(key, permits)

    def release(self, key: str, took_s: float, permits: int = 1) -> None:
        """Give up permits that were taken for `took_s`."""
        self.service_s += (took_s - self.service_s) * (_WEIGHT if self.service_s else 1)
        self._free(key, self._capped(permits))

    def _capped(self, permits: int) -> int:
        return 1 if permits == 1 else min(permits, self._max_running)

    async def _wait(self, key: str, permits: int) -> None:
        refusal = self.would_refuse(key, permits)
        if refusal is not None:
            raise refusal
        if self.waiting >= self._max_waiting:
            self._displace(self._greediest(key))
        waiter = Waiter(permits)
        self._waiting.setdefault(key, deque()).append(waiter)
        self._call()  # who gave way may have waited for more permits than this
        has_permit = False
        try:
            refusal = await waiter.outcome
            if refusal is not None:
                raise refusal
            has_permit = True
        finally:
            if not has_permit:
                self._withdraw(key, waiter)

    def _withdraw(self, key: str, waiter: Waiter) -> None:
        if waiter.is_granted():  # cancelled in the same instant
            self._free(key, waiter.permits)
        elif waiter in self._waiting.get(key, ()):
            self._remove(key, waiter)
            self._call()

    def _free(self, key: str, permits: int) -> None:
        """Give up permits of `key`; the next in line has them at once, before anybody who comes."""
        self._taken -= permits
        self._running[key] -= permits
        if not self._running[key]:
            del self._running[key]
        self._call()

    def _call(self) -> None:
        """Give those whose turn it is their permits, as long as they are free."""
        while self._waiting:
            waiting_key, waiters = next(iter(self._waiting.items()))
            waiter = waiters[0]
            if waiter.is_cancelled():
                self._remove(waiting_key, waiter)
                continue
            if self._taken + waiter.permits > self._max_running:
                return
            self._remove(waiting_key, waiter)
            if waiting_key in self._waiting:
                self._waiting.move_to_end(waiting_key)
            self._take(waiting_key, waiter.permits)
            waiter.outcome.set_result(None)

    def _take(self, key: str, permits: int) -> None:
        self._taken += permits
        self._running[key] += permits

    def _has_its_share(self, key: str, free: int) -> bool:
        """Whether `key` has as many waiting as are free, beside others that run or wait; alone it may have them all."""
        is_alone = self._waiting.keys() <= {key} and self._running.keys() <= {key}
        return not is_alone and len(self._waiting.get(key, ())) >= free

    def _greediest(self, key: str) -> str:
        """The key with the most permits of those that wait; `key` where none do."""
        return max(self._waiting, key=self._held, default=key)

    def _displace(self, key: str) -> None:
        """Have `key` give up its newest request."""
        waiter = self._waiting[key][-1]
        self._remove(key, waiter)
        if not waiter.is_cancelled():
            waiter.outcome.set_result(self._refusal())

    def _held(self, key: str) -> int:
        return self._running[key] + len(self._waiting.get(key, ()))

    def _remove(self, key: str, waiter: Waiter) -> None:
        self._waiting[key].remove(waiter)
        if not self._waiting[key]:
            del self._waiting[key]

    def _refusal(self) -> EngineOverloaded:
        seconds = self.wait_s()
        return EngineOverloaded(
            f"{self.running} requests to this model are running and {self.waiting} are waiting, the limits are "
            f"{self._max_running} and {self._max_waiting}; send the request again in {seconds} s.",
            retry_after_s=seconds,
        )
