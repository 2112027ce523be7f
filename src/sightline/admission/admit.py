"""A permit for each request, so that too many are refused at once instead of queued without bound.

Three bounds: the queue before each model (`fair_queue`), what one key may have in flight, and what the process may.
Everything is counted in this process; nothing waits in here but in a queue.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial

from sightline.admission.fair_queue import FairQueue
from sightline.errors import EngineOverloaded, RateLimitExceeded, ServiceError
from sightline.settings import Settings

PREVIEWS = "…/input_tokens"
"""Behind a model's name: the queue of requests that do not run it. Their pictures are decoded and read, their tokens
counted; they take turns as others do."""


class Admission:
    """Hands out permits: `max_running` a model, before which `max_waiting` wait; `max_in_flight` in all.

    Draining hands out none and lets those finish who run or wait.
    """

    def __init__(
        self,
        max_running: int,
        max_waiting: int,
        max_in_flight: int = 256,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._max_in_flight = max_in_flight
        self._queues: defaultdict[str, FairQueue] = defaultdict(partial(FairQueue, max_running, max_waiting))
        self._of_key: Counter[str] = Counter()
        self.in_flight = 0
        self.draining = False

    @classmethod
    def of(cls, settings: Settings) -> Admission:
        """Admission as the settings have it."""
        return cls(settings.max_running, settings.limits.max_waiting, settings.limits.max_in_flight)

    @property
    def waiting(self) -> int:
        """How many requests stand in a queue."""
        return sum(queue.waiting for queue in self._queues.values())

    def has_room(self, model: str, permits: int = 1) -> bool:
        """Whether a request for `model` would have its permits at once."""
        return self._queues[model].has_room(permits)

    def would_refuse(
        self, key_id: str, max_in_flight: int | None = None, models: Collection[str] = ()
    ) -> ServiceError | None:
        """Why a request of this key would be refused whatever it says, so that its body need not be read.

        `max_in_flight` is the key's own limit, `models` are those that the request may be for.
        """
        if self.draining:
            return EngineOverloaded("The service is stopping; send the request again in a moment.", retry_after_s=5)
        if max_in_flight is not None and self._of_key[key_id] >= max_in_flight:
            return self._too_many_of_key(self._of_key[key_id], max_in_flight)
        if self.in_flight >= self._max_in_flight:
            seconds = max((queue.wait_s() for queue in self._queues.values()), default=1)
            return EngineOverloaded(
                f"{self.in_flight} requests are running or waiting, the limit is {self._max_in_flight}; "
                f"send the request again in {seconds} s.",
                retry_after_s=seconds,
            )
        return self._all_would_refuse(key_id, models) if models else None

    def _all_would_refuse(self, key_id: str, models: Collection[str]) -> EngineOverloaded | None:
        refusal = None
        for model in models:
            queue = self._queues.get(model)
            refusal = queue.would_refuse(key_id) if queue is not None else None
            if refusal is None:
                return None
        return refusal

    def check_capacity(self, key_id: str, max_in_flight: int | None, models: Collection[str]) -> None:
        """Refuse a request before its body is read where it would be refused whatever it says.

        Raises:
            EngineOverloaded, RateLimitExceeded: as `hold`; or the queues of all `models` are full.
        """
        refusal = self.would_refuse(key_id, max_in_flight, models)
        if refusal is not None:
            raise refusal

    @contextmanager
    def hold(self, key_id: str, max_in_flight: int | None = None) -> Iterator[None]:
        """Count a request as long as it lasts, one that needs no model's place.

        Raises:
            EngineOverloaded: as many are in flight as may be, or the service is about to stop.
            RateLimitExceeded: the key has `max_in_flight` in flight, its own limit.
        """
        self.begin(key_id, max_in_flight)
        try:
            yield
        finally:
            self.end(key_id)

    def admit(self, model: str, key_id: str, max_in_flight: int | None = None, *, permits: int = 1) -> Permit:
        """Return `model`'s permits, one for each answer, which a request holds for the length of an `async with`.

        A refusal comes at once, before anything waits, unless the request gives way to a key that has fewer.

        Raises (as it is entered):
            EngineOverloaded, RateLimitExceeded: as `hold`; or the model's queue is full.
        """
        return Permit(self, self._queues[model], key_id, max_in_flight, permits)

    def begin(self, key_id: str, max_in_flight: int | None) -> None:
        """Count a request in, which `end` counts out.

        Raises: as `hold`.
        """
        refusal = self.would_refuse(key_id, max_in_flight)
        if refusal is not None:
            raise refusal
        self.in_flight += 1
        self._of_key[key_id] += 1

    def end(self, key_id: str) -> None:
        """Count a request out."""
        self.in_flight -= 1
        self._of_key[key_id] -= 1
        if not self._of_key[key_id]:
            del self._of_key[key_id]

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
    """A request's permits before and in a model; a class, for a generator that does it takes six times as long."""

    __slots__ = ("_admission", "_began_s", "_key_id", "_max_in_flight", "_permits", "_queue")

    def __init__(
        self, admission: Admission, queue: FairQueue, key_id: str, max_in_flight: int | None, permits: int
    ) -> None:
        self._admission = admission
        self._queue = queue
        self._key_id = key_id
        self._max_in_flight = max_in_flight
        self._permits = permits
        self._began_s: float | None = None

    async def __aenter__(self) -> Permit:
        self._admission.begin(self._key_id, self._max_in_flight)
        try:
            await self._queue.acquire(self._key_id, self._permits)
        except BaseException:
            self._admission.end(self._key_id)
            raise
        self._began_s = self._admission.clock()
        return self

    def release(self) -> None:
        """The model is done with the request: the next in the queue has its permits, while this one is written down."""
        began_s, self._began_s = self._began_s, None
        if began_s is not None:
            self._queue.release(self._key_id, self._admission.clock() - began_s, self._permits)

    async def __aexit__(self, *_: object) -> None:
        self.release()
        self._admission.end(self._key_id)
