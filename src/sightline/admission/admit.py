"""A permit for each request, so that too many are refused at once instead of queued without bound.

Three bounds: the queue before each model (`fair_queue`), what one key may have in flight, and what the process may.
Everything is counted in this process; nothing waits in here but in a queue.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from functools import partial

from sightline.admission.fair_queue import FairQueue
from sightline.errors import EngineOverloaded, RateLimitExceeded
from sightline.settings import Settings

PREVIEWS = "…/input_tokens"
"""Behind a model's name: the queue of requests that do not run it. Their pictures are decoded and read, their tokens
counted; they take turns as others do."""


class Admission:
    """Hands out permits for `max_in_flight` requests: `max_running` run in a model, before which `max_queued` wait.

    Draining hands out none and lets those finish who run or wait.
    """

    def __init__(
        self,
        max_running: int,
        max_queued: int,
        max_in_flight: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._max_in_flight = max_in_flight
        self._queues: defaultdict[str, FairQueue] = defaultdict(partial(FairQueue, max_running, max_queued))
        self._of_key: Counter[str] = Counter()
        self.in_flight = 0
        self.draining = False

    @classmethod
    def of(cls, settings: Settings) -> Admission:
        """Admission as the settings have it."""
        return cls(settings.max_running, settings.limits.max_queued, settings.limits.max_in_flight)

    @property
    def waiting(self) -> int:
        """How many requests stand in a queue."""
        return sum(queue.waiting for queue in self._queues.values())

    def has_room(self, model: str, permits: int = 1) -> bool:
        """Whether a request for `model` would have its permits at once."""
        return self._queues[model].has_room(permits)

    def check_capacity(self, key_id: str, max_in_flight: int | None = None, models: Collection[str] = ()) -> None:
        """Refuse a request that would be refused whatever it says, so that its body need not be read.

        `max_in_flight` is the key's own limit, `models` are those that the request may be for.

        Raises:
            EngineOverloaded: as many are in flight as may be, the queues of all `models` are full, or the service is
                about to stop.
            RateLimitExceeded: the key has `max_in_flight` in flight.
        """
        if self.draining:
            raise EngineOverloaded("The service is stopping; send the request again in a moment.", retry_after_s=5)
        if max_in_flight is not None and self._of_key[key_id] >= max_in_flight:
            raise self._too_many_of_key(self._of_key[key_id], max_in_flight)
        if self.in_flight >= self._max_in_flight:
            seconds = max((queue.wait_s() for queue in self._queues.values()), default=1)
            raise EngineOverloaded(
                f"{self.in_flight} requests are running or waiting, the limit is {self._max_in_flight}; "
                f"send the request again in {seconds} s.",
                retry_after_s=seconds,
            )
        refusals = [self._queues[model].would_refuse(key_id) for model in models]
        if refusals and refusals[-1] is not None and None not in refusals:
            raise refusals[-1]

    def admit(self, key_id: str, max_in_flight: int | None = None) -> Permit:
        """Return a permit that counts a request as in flight for the length of a `with`.

        Raises (as it is entered):
            EngineOverloaded, RateLimitExceeded: as `check_capacity`.
        """
        return Permit(self, key_id, max_in_flight)

    def count_in(self, key_id: str, max_in_flight: int | None) -> None:
        """Count a request that begins.

        Raises: as `check_capacity`.
        """
        self.check_capacity(key_id, max_in_flight)
        self.in_flight += 1
        self._of_key[key_id] += 1

    def count_out(self, key_id: str) -> None:
        """Count a request that has ended."""
        self.in_flight -= 1
        self._of_key[key_id] -= 1
        if not self._of_key[key_id]:
            del self._of_key[key_id]

    def queue_of(self, model: str) -> FairQueue:
        """Return the queue before a model."""
        return self._queues[model]

    def _too_many_of_key(self, has: int, limit: int) -> RateLimitExceeded:
        if limit < 1:
            return RateLimitExceeded("This key may make no requests; ask whoever runs this service to raise its limit.")
        seconds = math.ceil(max([1.0, *(queue.service_s for queue in self._queues.values())]))
        return RateLimitExceeded(
            f"{has} requests of this key are running or waiting, its limit is {limit}; "
            f"wait for one to end, about {seconds} s.",
            retry_after_s=seconds,
        )


class Permit:
    """One request's: in flight from `with` to its end, in a model from `acquire` to `release`."""

    __slots__ = ("_acquired_s", "_admission", "_key_id", "_max_in_flight", "_permits", "_queue")

    def __init__(self, admission: Admission, key_id: str, max_in_flight: int | None) -> None:
        self._admission = admission
        self._key_id = key_id
        self._max_in_flight = max_in_flight
        self._queue: FairQueue | None = None
        self._permits = 0
        self._acquired_s = 0.0

    def __enter__(self) -> Permit:
        self._admission.count_in(self._key_id, self._max_in_flight)
        return self

    async def acquire(self, model: str, permits: int = 1) -> None:
        """Wait for `model`'s permits, one for each answer.

        A refusal comes at once, before anything waits, unless the request gives way to a key that has fewer.

        Raises:
            EngineOverloaded: the model's queue is full.
        """
        queue = self._admission.queue_of(model)
        await queue.acquire(self._key_id, permits)
        self._queue, self._permits, self._acquired_s = queue, permits, self._admission.clock()

    def release(self) -> None:
        """The model is done with the request: the next in the queue has its permits, while this one is written down."""
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.release(self._key_id, self._admission.clock() - self._acquired_s, self._permits)

    def __exit__(self, *_: object) -> None:
        self.release()
        self._admission.count_out(self._key_id)
