"""A worker's side of the desk: admission and buckets that ask the parent, behind the same contracts as those here.

A request costs one question, for its place, and two more where its key has limits of requests and of tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from sightline.admission.admit import Admission
from sightline.admission.buckets import Window
from sightline.engines.channel import Channel
from sightline.errors import EngineUnavailable, ServiceError, StoreUnavailable
from sightline.settings import Settings
from sightline.workers import counts
from sightline.workers.messages import (
    Adjust,
    Admit,
    Count,
    Denied,
    Full,
    Granted,
    Leave,
    Made,
    Scrape,
    Take,
    Taken,
    Text,
    ToDesk,
    encoder,
    to_worker,
    unpack,
)

Reply = Granted | Denied | Taken | Text


class DeskLine:
    """The line to the desk; `on_gone` is called when the parent is."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._full: Denied | None = None
        self.channel = Channel(self._receive, self._close)
        self._on_gone = on_gone
        self._replies: dict[int, asyncio.Future[Reply]] = {}
        self._numbers = 0
        self._is_open = True

    @property
    def refusal(self) -> ServiceError | None:
        """Why every request is refused at this moment, if it is; one of its own for each, for what is raised grows."""
        return unpack(self._full) if self._full is not None else None

    def number(self) -> int:
        """A number for a question."""
        self._numbers += 1
        return self._numbers

    def tell(self, message: ToDesk) -> None:
        """Send what nobody answers."""
        self.channel.send(encoder.encode(message))

    async def ask(self, number: int, message: ToDesk) -> Any:
        """Send a question and wait for what the desk says to it.

        Raises:
            EngineUnavailable: the parent is gone, and the engines with it.
        """
        if not self._is_open:
            raise _gone()
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        self.tell(message)
        try:
            return await reply
        finally:
            del self._replies[number]

    def _receive(self, head: bytes, _: bytes) -> None:
        match to_worker.decode(head):
            case Full(refusal):
                self._full = refusal
            case Count():
                self.tell(counts.counted())
            case Granted(number) | Denied(number) | Taken(number) | Text(number) as reply:
                if number in self._replies and not self._replies[number].done():
                    self._replies[number].set_result(reply)

    def _close(self) -> None:
        self._is_open = False
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(_gone())
        self._on_gone()


class RemoteAdmission(Admission):
    """Places that the desk hands out. What this worker alone knows to be too much it refuses without asking."""

    def __init__(self, settings: Settings, desk: DeskLine) -> None:
        super().__init__(settings.max_running, settings.limits.max_waiting, settings.limits.max_in_flight)
        self._desk = desk

    def would_refuse(
        self, key_id: str, max_in_flight: int | None = None, models: Collection[str] = ()
    ) -> ServiceError | None:
        """See `Admission.would_refuse`; lines are the desk's, which refuses when a place is asked for."""
        return super().would_refuse(key_id, max_in_flight) or self._desk.refusal

    def admit(  # type: ignore[override]
        self, model: str, key_id: str, max_in_flight: int | None = None, *, places: int = 1
    ) -> RemotePlace:
        """See `Admission.admit`."""
        return RemotePlace(self, self._desk, Admit(self._desk.number(), key_id, max_in_flight, model, places))


class RemotePlace:
    """A request's place at the desk; in this worker, too, it is counted."""

    __slots__ = ("_desk", "_here", "_is_made", "_message")

    def __init__(self, admission: RemoteAdmission, desk: DeskLine, message: Admit) -> None:
        self._here = admission.hold(message.key_id, message.max_in_flight)
        self._desk = desk
        self._message = message
        self._is_made = False

    async def __aenter__(self) -> RemotePlace:
        self._here.__enter__()
        try:
            reply = await self._desk.ask(self._message.number, self._message)
            if isinstance(reply, Denied):
                raise unpack(reply)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    def leave(self) -> None:
        """See `Place.leave`."""
        if not self._is_made:
            self._is_made = True
            self._desk.tell(Made(self._message.number))

    async def __aexit__(self, *_: object) -> None:
        self._desk.tell(Leave(self._message.number))
        self._here.__exit__(None, None, None)


class RemoteBuckets:
    """Buckets of rate limits that the desk keeps."""

    def __init__(self, desk: DeskLine) -> None:
        self._desk = desk

    async def take(self, name: str, limit: int, cost: int) -> Window:
        """See `Buckets.take`."""
        number = self._desk.number()
        try:
            reply = await self._desk.ask(number, Take(number, name, limit, cost))
        except EngineUnavailable as error:
            raise StoreUnavailable from error
        assert isinstance(reply, Taken)
        return reply.window

    def adjust(self, name: str, limit: int, cost: int) -> None:
        """See `Buckets.adjust`; the desk hears of it before it hears of any later request."""
        self._desk.tell(Adjust(name, limit, cost))

    async def close(self) -> None:
        """The desk's are the parent's."""


async def metrics_text(desk: DeskLine) -> bytes:
    """The metrics of all workers together."""
    number = desk.number()
    reply = await desk.ask(number, Scrape(number))
    assert isinstance(reply, Text)
    return reply.text


def _gone() -> EngineUnavailable:
    return EngineUnavailable("The service is stopping; send the request again in a moment.", retry_after_s=1)
