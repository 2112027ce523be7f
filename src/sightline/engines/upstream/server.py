"""One upstream server: what it serves, what it is at work on, and whether it gets requests at all.

It is out until a real answer has come from it, at the start as after a failure; each time it is put out again it stays
so for longer, unless it has done well in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from sightline import metrics
from sightline.core import ModelInfo
from sightline.engines.upstream.body import BodyWriter
from sightline.engines.upstream.client import Client, Reply
from sightline.engines.upstream.failures import Kind
from sightline.log import get_logger

log = get_logger(__name__)

MOST_STRIKES = 3
_STRIKES_AN_ANSWER = 0.5
"""What a good answer makes up for: a server that fails one request in three or more is put out."""
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
_FORGIVEN_AFTER = 100  # answers without a failure
_FIRST_REST_S = 0.1
_LONGEST_REST_S = 2.0


class Served:
    """A model as one upstream has it. `dialect` is what kind of server it is."""

    def __init__(self, info: ModelInfo, writer: BodyWriter, dialect: str) -> None:
        self.info = info
        self.writer = writer
        self.dialect = dialect


class Exchange:
    """A request that an upstream is at work on: when it was last heard of, and whether it has said anything.

    Of one that does not stream nothing can be heard before its end.
    """

    def __init__(self, now: float, *, streams: bool) -> None:
        self.heard_s = now
        self.streams = streams
        self.has_begun = False
        self.given_up: Kind | None = None
        self._is_cancelled = False
        self.reply: Reply | None = None
        self._task = asyncio.current_task()

    def hear(self, now: float) -> None:
        """Something has come."""
        self.heard_s, self.has_begun = now, True
        self._task = asyncio.current_task()

    def stands_still(self, now: float, longest_s: float) -> bool:
        """Whether nothing came for so long although somebody waits for it, and not for a client that reads slowly."""
        return now - self.heard_s > longest_s and (self.reply is None or self.reply.is_awaited)

    def give_up(self, kind: Kind) -> None:
        """End it from outside; its own task sees to the rest, at once unless it waits for a slow client."""
        if self.given_up:
            return
        self.given_up = kind
        if self._task is not None and (self.reply is None or self.reply.is_awaited):
            self._is_cancelled = True
            self._task.cancel()

    def was_given_up(self) -> bool:
        """Whether a cancellation that has just been caught is `give_up`'s, and nobody else's."""
        return self._is_cancelled and self._task is not None and self._task.uncancel() == 0


class Server:
    """One upstream of a pool."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.name = urlsplit(client.url).netloc
        self.served: Mapping[str, Served] = {}
        self.models: tuple[ModelInfo, ...] = ()
        """What it serves, by `serve`."""
        self.listed: frozenset[str] = frozenset()
        """The models on its list, by their names there, when it was last looked at."""
        self.exchanges: set[Exchange] = set()
        self.is_in = False
        self.back_s = 0.0
        """When to ask it again, on the monotonic clock."""
        self.alive_s = 0.0
        """When it last answered the question whether it lives."""
        self.asking: asyncio.Task[None] | None = None
        self.look_s = 0.0
        """When to look at its list again."""
        self.looking: asyncio.Task[None] | None = None
        self._strikes = 0.0
        self._is_struck_out = False
        self._answered_s = 0.0
        self._pause_s = 0.0
        self._answers = 0
        self._rest_s = 0.0
        self._rests_until = 0.0

    @property
    def outstanding(self) -> int:
        """How many requests it is at work on."""
        return len(self.exchanges)

    def can_take(self, model: str, most: int) -> bool:
        """Whether it is in, has the model, and is at work on fewer than `most` requests."""
        return self.is_in and model in self.served and len(self.exchanges) < most

    def serve(self, served: Mapping[str, Served]) -> None:
        """Take note of what it serves from now on, by our names."""
        self.served = served
        self.models = tuple([one.info for one in served.values()])

    def did_well(self) -> None:
        """It has answered as it should."""
        metrics.upstream_answered(self.name, "answered")
        self._answered_s = time.monotonic()
        self._strikes = max(0.0, self._strikes - _STRIKES_AN_ANSWER)
        self._rest_s = 0.0
        self._answers += 1
        if self._answers >= _FORGIVEN_AFTER:
            self._pause_s = 0.0

    def did_badly(self, kind: Kind) -> None:
        """It has failed a request; what cannot be a request's own fault, or comes again and again, puts it out."""
        metrics.upstream_answered(self.name, kind)
        if kind == "busy":
            self._rest()
            return
        if kind in ("slow", "stalled"):  # whoever gave the request up has seen to the server
            return
        self._strikes += 1
        if kind in ("dead", "lying"):
            self.put_out(kind)
        elif self._strikes >= MOST_STRIKES and self.is_in:
            self._is_struck_out = True
            self.put_out(kind)

    def forgive(self) -> None:
        """Another upstream failed the same request as well: it was the request, and so the earlier ones may have been.

        A server that is out for nothing but such strikes is in again.
        """
        self._strikes = max(0.0, self._strikes - 1)
        if self._is_struck_out:
            self._strikes, self.is_in, self._is_struck_out = 0.0, True, False
            self._pause_s = self._pause_s / 2 if self._pause_s > _FIRST_PAUSE_S else 0.0
            log.info("upstream_forgiven", upstream=self.name)

    def put_out(self, kind: str) -> None:
        """Give it no more requests until it has answered again; those that it has it may go on with."""
        if not self.is_in:
            return
        self.is_in = False
        self.wait_longer()
        metrics.upstream_ejected(self.name, kind)
        log.warning("upstream_ejected", upstream=self.name, why=kind, pause_s=self._pause_s)

    def take_back(self) -> None:
        """It was asked and is silent: what it has not begun to answer goes elsewhere."""
        for exchange in [one for one in self.exchanges if not one.has_begun]:
            exchange.give_up("slow")

    def was_heard_since(self, moment_s: float) -> bool:
        """Whether it has answered somebody since, or given a piece of an answer."""
        pieces = [one.heard_s for one in self.exchanges if one.has_begun and one.streams]
        return max(self._answered_s, *pieces, 0.0) > moment_s

    def _rest(self) -> None:
        """It has no room: leave it alone for a moment, twice as long each time."""
        now = time.monotonic()
        if now >= self._rests_until:
            self._rest_s = min(max(2 * self._rest_s, _FIRST_REST_S), _LONGEST_REST_S)
            self._rests_until = now + self._rest_s

    @property
    def is_resting(self) -> bool:
        """Whether it had no room a moment ago, or is trying one request to see whether it has."""
        if not self._rest_s:
            return False
        return bool(self.exchanges) or time.monotonic() < self._rests_until

    def wait_longer(self) -> None:
        """Put off the next question to it."""
        self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self.back_s = time.monotonic() + self._pause_s
        self._answers = 0

    def put_in(self) -> None:
        """It has answered: requests may come. Until it has done well for a while the next failure puts it out again."""
        self._strikes = MOST_STRIKES - 1 if self._pause_s else 0.0
        self.is_in, self._is_struck_out = True, False
        self._rest_s = 0.0
        log.info("upstream_ready", upstream=self.name, models=sorted(self.served))
