"""Which upstream gets a request: one with the least work, of these the one that may know its picture already.

A watcher looks at all of them a few times a second: who has been silent for too long is asked whether it lives, who is
out is asked again in time.

Circuit breaking is ours, since what libraries offer (purgatory, aiobreaker, tenacity) counts failures of a function:
here it is one decision with the choice of the server, and a retry is another server's first try.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

from sightline.core import GenerateRequest, TextPart
from sightline.engines.upstream.client import Broken, Unreachable
from sightline.engines.upstream.failures import Failure
from sightline.engines.upstream.server import Server
from sightline.errors import EngineOverloaded, EngineUnavailable
from sightline.log import get_logger
from sightline.settings import UpstreamSettings

log = get_logger(__name__)

_LOOK_S = 0.1
_LIST_EVERY_S = 5.0
"""A server may load its models one after another, and takes up others while it runs."""
_TOLERANCE = 1
_PREFIX = 256
_NAME = "/v1/models"
_MEANING = {"dead": {"meaning": "nothing answers there; is the server running, and the address right?"}}


class Budget:
    """How many requests may leave a server that is in for another: a tenth of all, and a few to begin with."""

    _MOST = 10.0
    _SHARE = 0.1

    def __init__(self) -> None:
        self._left = self._MOST

    def earn(self) -> None:
        """A request has come."""
        self._left = min(self._MOST, self._left + self._SHARE)

    def spend(self) -> bool:
        """Take one, if there is one."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Pool:
    """The upstreams of one engine. `revive` asks one that is out whether it can answer, `look` one that is in what more
    it lists by now; both raise a `Failure` if it cannot say."""

    def __init__(
        self,
        servers: Sequence[Server],
        revive: Callable[[Server], Awaitable[None]],
        look: Callable[[Server], Awaitable[None]],
        limits: UpstreamSettings,
    ) -> None:
        self.servers = tuple(servers)
        self.budget = Budget()
        self._revive, self._look = revive, look
        self._most, self._slow_s = limits.max_outstanding, limits.slow_s
        self._idle_s, self._answer_s = limits.idle_s, limits.answer_s
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look after the upstreams; all of them are out until they have answered."""
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Give up what runs, and look no more."""
        running = (self._watcher, *(task for server in self.servers for task in (server.asking, server.looking)))
        tasks = [task for task in running if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self.servers:
            server.is_in = False
            for exchange in tuple(server.exchanges):
                exchange.give_up("slow")

    def choose(self, request: GenerateRequest, avoid: Server | None = None) -> Server:
        """Choose a server for a request; not `avoid` if there is another.

        Raises:
            EngineUnavailable: none can answer.
            EngineOverloaded: all have as much to do as they may.
        """
        if len(self.servers) == 1 and self.servers[0].can_take(request.model, self._most):
            return self.servers[0]
        able = [server for server in self.servers if server.is_in and request.model in server.served]
        if len(able) > 1:
            able = [server for server in able if server is not avoid] or able
            able = [server for server in able if not server.is_resting] or able
        if not able:
            message = "None of the model's servers can answer at this moment. Send the request again in a moment."
            raise EngineUnavailable(message, retry_after_s=1)
        able = [server for server in able if server.outstanding < self._most]
        if not able:
            raise EngineOverloaded("All of the model's servers have as much to do as they may.", retry_after_s=1)
        if len(able) == 1:
            return able[0]
        least = min(server.outstanding for server in able) + _TOLERANCE
        idle = [server for server in able if server.outstanding <= least]
        return idle[0] if len(idle) == 1 else _nearest(idle, request)

    async def _watch(self) -> None:
        now = time.monotonic
        while True:
            for server in self.servers:
                self._give_up_stalled(server, now())
                if server.is_in and now() >= server.look_s and (server.looking is None or server.looking.done()):
                    server.looking = asyncio.create_task(self._look_again(server))
                if server.asking is not None and not server.asking.done():
                    continue
                if not server.is_in and now() >= server.back_s:
                    server.asking = asyncio.create_task(self._ask_back(server))
                elif server.is_in and self._is_silent(server, now()):
                    server.asking = asyncio.create_task(self._ask_alive(server))
            await asyncio.sleep(_LOOK_S)

    def _give_up_stalled(self, server: Server, now: float) -> None:
        """End what stands still for too long. Its server is out only if it has said nothing to anybody else either: a
        request may wait for its turn there for longer."""
        for exchange in tuple(server.exchanges):
            if exchange.given_up:
                continue
            if exchange.stands_still(now, self._idle_s if exchange.streams else self._answer_s):
                exchange.give_up("stalled")
                if not server.was_heard_since(exchange.heard_s):
                    server.put_out("slow")

    def _is_silent(self, server: Server, now: float) -> bool:
        """Whether nothing came for a while from a server that is at work, and others could take over."""
        if not server.exchanges or not any(other.is_in for other in self.servers if other is not server):
            return False
        heard_s = max(server.alive_s, *(exchange.heard_s for exchange in server.exchanges))
        return now - heard_s > self._slow_s / 4

    async def _ask_back(self, server: Server) -> None:
        try:
            await self._revive(server)
        except Failure as failure:
            server.wait_longer()
            if failure.kind == "dead":
                server.take_back()
            log.info("upstream_not_ready", upstream=server.name, why=failure.kind, **_MEANING.get(failure.kind, {}))
        except Exception:  # whatever it says, it is not asked without a pause
            server.wait_longer()
            log.exception("upstream_not_understood", upstream=server.name)
        else:
            server.look_s = time.monotonic() + _LIST_EVERY_S
            server.put_in()

    async def _look_again(self, server: Server) -> None:
        try:
            await self._look(server)
        except Failure as failure:
            log.info("upstream_not_looked_at", upstream=server.name, why=failure.kind)
        except Exception:  # whatever it says, it is not asked without a pause
            log.exception("upstream_not_understood", upstream=server.name)
        server.look_s = time.monotonic() + _LIST_EVERY_S

    async def _ask_alive(self, server: Server) -> None:
        """Put out a server that does not even say what it serves."""
        try:
            async with asyncio.timeout(self._slow_s / 2), server.client.send("GET", _NAME) as reply:
                await reply.body()
        except (Unreachable, Broken):
            server.put_out("dead")
            server.take_back()
        except TimeoutError:
            server.put_out("slow")
            server.take_back()
        else:
            server.alive_s = time.monotonic()


def _nearest(servers: Sequence[Server], request: GenerateRequest) -> Server:
    """The same picture, or the same beginning, goes to the same server as long as it is not busier than others.

    Rendezvous hashing: when a server comes or goes, only its own requests change places.
    """
    like = _likeness(request)
    return max(servers, key=lambda server: blake2b(like + server.name.encode(), digest_size=8).digest())


def _likeness(request: GenerateRequest) -> bytes:
    if request.files:
        return "".join(file.sha256 for file in request.files).encode()
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, TextPart):
                return part.text[:_PREFIX].encode("utf-8", "replace")
    return b""
