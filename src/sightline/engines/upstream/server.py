"""One upstream server: what it serves, what it is at work on, and whether it gets requests at all.

It is out until a real answer has come from it, at the start as after a failure; each time it is ejected again it stays
out for longer, unless it has done well in between.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from sightline import metrics
from sightline.core import GenerateRequest
from sightline.engines.upstream.backoff import Backoff
from sightline.engines.upstream.client import Client, Pieces, Response
from sightline.engines.upstream.exchange import Exchange, ServedModel
from sightline.engines.upstream.failures import Reason
from sightline.log import get_logger
from sightline.settings import UpstreamSettings

log = get_logger(__name__)

FIRST_REST_S, LONGEST_REST_S = 0.1, 2.0
"""How long a server that has no room is left alone."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 10.0
"""How long a server that is out is not probed."""
_MAX_STRIKES = 3
_STRIKES_AN_ANSWER = 0.5
"""What a good answer makes up for: a server that fails one request in three or more is ejected."""
_FORGIVEN_AFTER = 100  # answers without a failure


class Server:
    """One upstream of a pool."""

    def __init__(self, url: str, client: Client, settings: UpstreamSettings) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.name = urlsplit(self.url).netloc
        self.models: Mapping[str, ServedModel] = {}
        """What it serves, by our names."""
        self.settled: frozenset[str] = frozenset()
        """The models on its list, by our names, that have answered or been left out."""
        self.exchanges: set[Exchange] = set()
        """The requests that it is at work on."""
        self.is_in = False
        self.alive_at = 0.0
        """When it last answered the question whether it lives, on the monotonic clock."""
        self.pause = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._client = client
        self._idle_timeout_s = settings.idle_timeout_s
        self._request_timeout_s = settings.request_timeout_s
        self._strikes = 0.0
        self._is_struck_out = False
        self._answered_at = 0.0
        self._answers = 0
        self._rest = Backoff(FIRST_REST_S, LONGEST_REST_S)

    @property
    def is_resting(self) -> bool:
        """Whether it had no room a moment ago, or is trying one request to see whether it has."""
        return self._rest.delay_s > 0 and (bool(self.exchanges) or self._rest.is_waiting)

    async def send(self, method: str, path: str, body: Pieces | None = None) -> Response:
        """Send a request that is no answer's; see `Client.send`."""
        return await self._client.send(method, self.url + path, body)

    def exchange(self, request: GenerateRequest, model: ServedModel) -> Exchange:
        """Return what sends a request and reads its answer."""
        timeout_s = self._idle_timeout_s if request.stream else self._request_timeout_s
        return Exchange(self._client, self.url, model, request, timeout_s)

    def succeeded(self) -> None:
        """Take note that it has answered as it should."""
        metrics.upstream_answered(self.name, "answered")
        self._answered_at = time.monotonic()
        self._strikes = max(0.0, self._strikes - _STRIKES_AN_ANSWER)
        self._rest.reset()
        self._answers += 1
        if self._answers >= _FORGIVEN_AFTER:
            self.pause.reset()

    def failed(self, reason: Reason, exchange: Exchange) -> None:
        """Take note that it has failed a request; what cannot be the request's own fault, or comes often, ejects it."""
        metrics.upstream_answered(self.name, reason)
        if reason == "overloaded":
            if not self._rest.is_waiting:
                self._rest.extend()
        elif reason == "idle_timeout":
            # A request may wait for its turn there for longer, as long as others are answered.
            if not self._was_heard_since(exchange.heard_at):
                self.eject("timeout")
        elif reason != "timeout":  # of which whoever abandoned the request has ejected it
            self._strikes += 1
            if reason in ("connect_error", "invalid_response"):
                self.eject(reason)
            elif self._strikes >= _MAX_STRIKES and self.is_in:
                self._is_struck_out = True
                self.eject(reason)

    def forgive(self) -> None:
        """Another upstream failed the same request as well: it was the request, and so the earlier ones may have been.

        A server that is out for nothing but such strikes is in again.
        """
        self._strikes = max(0.0, self._strikes - 1)
        if self._is_struck_out:
            self._strikes, self.is_in, self._is_struck_out = 0.0, True, False
            self.pause.undo()
            log.info("upstream_forgiven", upstream=self.name)

    def eject(self, reason: Reason) -> None:
        """Give it no more requests until it has answered again; those that it has it may go on with."""
        if not self.is_in:
            return
        self.is_in = False
        self.postpone_probe()
        metrics.upstream_ejected(self.name, reason)
        log.warning("upstream_ejected", upstream=self.name, reason=reason, pause_s=self.pause.delay_s)

    def postpone_probe(self) -> None:
        """Leave it alone, for longer than the last time."""
        self.pause.extend()
        self._answers = 0

    def reinstate(self) -> None:
        """It has answered: requests may come. Until it has done well for a while the next failure ejects it again."""
        self._strikes = _MAX_STRIKES - 1 if self.pause.delay_s else 0.0
        self.is_in, self._is_struck_out = True, False
        self._rest.reset()
        log.info("upstream_ready", upstream=self.name, models=sorted(self.models))

    def abandon_waiting(self) -> None:
        """It was asked and is silent: what it has not begun to answer goes elsewhere."""
        for exchange in tuple(self.exchanges):
            if not exchange.has_begun:
                exchange.abandon("timeout")

    def _was_heard_since(self, moment: float) -> bool:
        """Whether it has answered somebody since, or given a piece of an answer."""
        pieces = [one.heard_at for one in self.exchanges if one.has_begun and one.streams]
        return max(self._answered_at, *pieces, 0.0) > moment
