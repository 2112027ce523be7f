"""A place for each running request, so that too many are refused at once instead of queued without bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sightline.errors import EngineOverloaded


class Admission:
    """Hands out at most `max_in_flight` places. Draining hands out none and lets the rest finish."""

    def __init__(self, max_in_flight: int) -> None:
        self._max_in_flight = max_in_flight
        self.in_flight = 0
        self.draining = False

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for the length of a request.

        Raises:
            EngineOverloaded: every place is taken, or the service is about to stop.
        """
        if self.draining:
            message = "The service is stopping; send the request again in a moment."
            raise EngineOverloaded(message, retry_after_s=5)
        if self.in_flight >= self._max_in_flight:
            raise EngineOverloaded(
                f"{self.in_flight} requests are running, the limit is {self._max_in_flight}; "
                "send the request again in a moment.",
                retry_after_s=1,
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
