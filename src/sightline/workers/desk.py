"""The desk of a parent: places, lines and rate limits of all its workers, counted once; and their metrics, added up.

In come a worker's messages over its socket pair, out go answers. What a worker holds is given back when it is gone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from sightline.admission.admit import Admission, Place
from sightline.admission.buckets import MemoryBuckets
from sightline.engines.channel import Channel
from sightline.errors import ServiceError
from sightline.log import get_logger
from sightline.workers import counts
from sightline.workers.messages import (
    Adjust,
    Admit,
    Count,
    Counts,
    Denied,
    Full,
    Granted,
    Hangs,
    Leave,
    Listening,
    Made,
    Scrape,
    Take,
    Taken,
    Text,
    ToWorker,
    Unable,
    denied,
    encoder,
    to_desk,
)

_COUNT_S = 0.5
"""How long a worker may take to say what it has counted; then what it said last is taken."""

T = TypeVar("T")

log = get_logger(__name__)


News = Listening | Unable | Hangs


class Desk:
    """Serves all workers of a parent. Everything happens on one event loop, so that nothing is counted twice."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.buckets = MemoryBuckets()
        self.visitors: set[Visitor] = set()
        self.departed = Counts(())
        self._is_full = False

    async def open(self, end: socket.socket, on_news: Callable[[News], None]) -> None:
        """Serve the worker at the other end of a socket pair; `on_news` is for what is not the desk's business."""
        visitor = Visitor(self, on_news)
        await asyncio.get_running_loop().create_unix_connection(lambda: visitor.channel, sock=end)
        self.visitors.add(visitor)
        visitor.send(Full(self._refusal()))

    def close(self, visitor: Visitor) -> None:
        """Keep what a worker that is gone has counted."""
        self.visitors.discard(visitor)
        self.departed = counts.total([self.departed, visitor.counts])

    def look(self) -> None:
        """Tell the workers when the service is full and when it is not any more, so that they need not ask."""
        refusal = self._refusal()
        if (refusal is not None) != self._is_full:
            self._is_full = refusal is not None
            for visitor in self.visitors:
                visitor.send(Full(refusal))

    async def text(self) -> bytes:
        """The metrics of all, from what each has counted by now."""
        await asyncio.gather(*(visitor.count() for visitor in self.visitors))
        return counts.text([self.departed, *(visitor.counts for visitor in self.visitors)])

    def _refusal(self) -> Denied | None:
        error = self.admission.would_refuse("")
        return denied(0, error) if error is not None else None


class Visitor:
    """One worker at the desk."""

    def __init__(self, desk: Desk, on_news: Callable[[News], None]) -> None:
        self.counts = Counts(())
        self.channel = Channel(self._receive, self._close)
        self._desk = desk
        self._on_news = on_news
        self._places: dict[int, Place] = {}
        self._waiting: dict[int, asyncio.Task[None]] = {}
        self._scrapes: set[asyncio.Task[None]] = set()
        self._counted: asyncio.Future[None] | None = None

    def send(self, message: ToWorker) -> None:
        """Send, if it is still there."""
        self.channel.send(encoder.encode(message))

    async def count(self) -> None:
        """Have it say what it has counted, unless that takes too long."""
        if self._counted is None:
            self._counted = asyncio.get_running_loop().create_future()
            self.send(Count())
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._counted), _COUNT_S)

    def _receive(self, head: bytes, _: bytes) -> None:
        match to_desk.decode(head):
            case Admit() as message:
                self._admit(message)
            case Made(number):
                if number in self._places:
                    self._places[number].leave()
                    self._desk.look()
            case Leave(number):
                self._leave(number)
            case Take() as message:
                self._take(message)
            case Adjust(name, limit, cost):
                self._desk.buckets.adjust(name, limit, cost)
            case Scrape(number):
                task = asyncio.create_task(self._scrape(number))
                self._scrapes.add(task)
                task.add_done_callback(self._scrapes.discard)
            case Counts() as message:
                self.counts = message
                if self._counted is not None:
                    self._counted.set_result(None)
                    self._counted = None
            case (Listening() | Unable() | Hangs()) as news:
                self._on_news(news)

    def _admit(self, message: Admit) -> None:
        """Give a place at once where there is one, for that is nearly always; else in a task that waits for it."""
        admission = self._desk.admission
        place = admission.admit(message.model, message.key_id, message.max_in_flight, places=message.places)
        if not admission.has_room(message.model, message.places):
            task = self._waiting[message.number] = asyncio.create_task(self._wait(message.number, place))
            task.add_done_callback(lambda _: self._waited(message.number))
            return
        try:
            _at_once(place.__aenter__())
        except ServiceError as error:
            self.send(denied(message.number, error))
            return
        self._grant(message.number, place)

    def _waited(self, number: int) -> None:
        """One waits no more: it has a place, was refused, or has left, and then others may be let in."""
        self._waiting.pop(number)
        self._desk.look()

    async def _wait(self, number: int, place: Place) -> None:
        try:
            await place.__aenter__()
        except ServiceError as error:
            self.send(denied(number, error))
            return
        self._grant(number, place)

    def _grant(self, number: int, place: Place) -> None:
        self._places[number] = place
        self.send(Granted(number))
        self._desk.look()

    def _leave(self, number: int) -> None:
        place = self._places.pop(number, None)
        if place is not None:
            _at_once(place.__aexit__(None, None, None))
            self._desk.look()
        elif number in self._waiting:
            self._waiting[number].cancel()

    def _take(self, message: Take) -> None:
        window = self._desk.buckets.take(message.name, message.limit, message.cost)
        self.send(Taken(message.number, window))

    async def _scrape(self, number: int) -> None:
        self.send(Text(number, await self._desk.text()))

    def _close(self) -> None:
        for task in self._waiting.values():
            task.cancel()
        for number in list(self._places):
            self._leave(number)
        if self._counted is not None:
            self._counted.set_result(None)
        self._desk.close(self)


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """Run what does not wait, without a task."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")
