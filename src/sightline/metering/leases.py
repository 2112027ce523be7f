"""What this process has set aside of spending accounts for requests that have no row yet: they are granted at once.

A lease is money that the database counts as reserved (`key_leases`), so that whoever is promised a part of it need not
ask. What is promised here was set aside there before, and what is not known to be there is not promised: a process
that dies, or that loses the answer of a commit, can only have set too much aside, which is given back.

Requests that come together have one; what idles is given back within a second. Everything is called on the event loop
but what says that the writer's thread calls it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from weakref import WeakValueDictionary

import msgspec

from sightline.core import SpendingLimit
from sightline.store.writer import Write

Account = tuple[str, str]
"""A key's id and the period of its spending limit."""

TICK_S = 0.4
"""What lies idle from one tick to the next but one is given back."""
SHARE = 16
"""A lease takes at most this part of what remains of a limit."""


class Grant(msgspec.Struct, eq=False):
    """What a request has of its key's lease: `nanos` are promised to it until its row has them."""

    lease: Lease | None = None
    nanos: int = 0


class Lease:
    """Of one account. `held` is what the database has for it; None while that is not known.

    `promised` is for requests whose rows do not have it yet. The rest is free, but for what the thread has taken.
    """

    __slots__ = (
        *("__weakref__", "_before", "_highest", "_lock", "_lowest", "_newest", "_recent", "_taken", "_watch"),
        *("account", "held", "limit", "promised", "room"),
    )

    def __init__(self, account: Account, limit: SpendingLimit, watch: Callable[[Lease], None]) -> None:
        """`watch` is called whenever the lease has come to hold something, so that it is not forgotten."""
        self.account = account
        self._watch = watch
        self.limit = limit
        self.held: int | None = 0
        self.promised = 0
        self.room = 0
        self._taken = 0
        # What was asked for since the last tick, between the two before it, and last; the bounds of what was free.
        self._recent = self._before = self._newest = 0
        self._lowest = self._highest = 0
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """What may be promised."""
        return 0 if self.held is None else self.held - self.promised - self._taken

    def asked(self, nanos: int) -> None:
        """Take note that a request may cost `nanos`, whoever grants it."""
        self._newest = nanos
        self._recent += nanos

    def promise(self, grant: Grant, nanos: int, limit: SpendingLimit) -> bool:
        """Promise `nanos` if that much is free, and was set aside under the same `limit`."""
        if limit is not self.limit and limit != self.limit:
            return False
        with self._lock:
            left = self.free - nanos
            if left < 0:
                return False
            self.promised += nanos
        if left < self._lowest:
            self._lowest = left
        grant.nanos = nanos
        return True

    def take(self, nanos: int | None = None) -> None:
        """Promise no more of what is free, or of so much of it; called by the thread, which gives it back."""
        with self._lock:
            self._taken += max(self.free if nanos is None else min(self.free, nanos), 0)

    def needed(self) -> int:
        """What must stay set aside, for it is promised or may be at any moment; called by the thread."""
        return self.promised if self.held is None else max(self.promised, self.held - self._taken)

    def wants(self, room: int) -> int:
        """How much more should be free, of at most `room`: what others than the last one asked for of late.

        Called by the thread.
        """
        return max(0, min(room, self._recent + self._before - self._newest) - self.free)

    def kept(self, held: int, room: int | None) -> None:
        """Take note of what the database has now, and of how much the lease may have at most, if that was looked up."""
        self.held = held
        self._taken = 0
        if room is not None:
            self.room = room
        if held:
            self._watch(self)
        self._highest = max(self._highest, self.free)

    def lost(self) -> None:
        """Take note that what the database has is not known: nothing is promised until it is."""
        self.held = None
        self._taken = 0

    def idle(self) -> int | None:
        """End the time between two ticks: what of the lease is to be given back; None if the database must be asked.

        What was free all the time but for as much as was taken and brought back; and what is beyond its share.
        """
        free = self.free
        idle = max(2 * self._lowest - self._highest, free - self.room, 0)
        self._lowest = self._highest = max(free - idle, 0)
        self._before, self._recent = self._recent, 0
        return None if self.held is None else min(idle, max(free, 0))

    def rest(self) -> None:
        """Want nothing more: no request is to come."""
        self._recent = self._before = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is set aside, and nothing was asked for of late."""
        return self.held == 0 and not (self.promised or self._before or self._recent)


class GiveBack(Write):
    """Set no more of an account aside than is needed, or `nanos` less."""

    lease: Lease
    nanos: int | None = None
    is_taken: bool = False
    """Whether that much is promised no more; a group may be tried twice."""

    def take(self) -> None:
        """Promise it no more; called by the thread."""
        if not self.is_taken:
            self.is_taken = True
            self.lease.take(self.nanos)


class Leases:
    """Those of this process, by account."""

    def __init__(self, write: Callable[[Write], asyncio.Future[None]]) -> None:
        """`write` has the database change what it has for a lease; see `store.writer.Writer.write`."""
        self._write = write
        self._active: dict[Account, Lease] = {}
        # A request keeps its lease until it is over, so that there are never two of one account.
        self._all: WeakValueDictionary[Account, Lease] = WeakValueDictionary()
        self._tick: asyncio.TimerHandle | None = None
        self.is_closed = False

    def of(self, account: Account, limit: SpendingLimit) -> Lease:
        """Return that of `account`; a new one has nothing."""
        lease = self._active.get(account)
        if lease is None:
            lease = self._all.get(account)
            if lease is None:
                lease = self._all[account] = Lease(account, limit, self._watch)
            self._watch(lease)
        return lease

    def _watch(self, lease: Lease) -> None:
        """Look after a lease until it is over; a commit that took long may have filled it after that."""
        self._active[lease.account] = lease
        if self._tick is None and not self.is_closed:
            self._tick = asyncio.get_running_loop().call_later(TICK_S, self._look)

    def _look(self) -> None:
        self._tick = None
        for account, lease in list(self._active.items()):
            idle = lease.idle()
            if idle is None or idle:
                self._write(GiveBack(lease=lease, nanos=idle, can_wait=True))
            elif lease.is_over:
                del self._active[account]
        if self._active:
            self._tick = asyncio.get_running_loop().call_later(TICK_S, self._look)

    async def close(self) -> None:
        """Give everything back, and promise nothing more. What the database does not take, others clear away."""
        self.is_closed = True
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        leases = list(self._all.values())  # what is being written may yet fill one that is empty
        for lease in leases:
            lease.rest()
        await asyncio.gather(*(self._write(GiveBack(lease=lease)) for lease in leases), return_exceptions=True)
