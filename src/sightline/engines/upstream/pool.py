"""Which upstream gets a request: one with the least work, of these the one that may have its images in a cache.

Beside that each upstream is watched: one that is out is probed in time, one that is silent is asked whether it lives.

Circuit breaking is ours, since what libraries offer (purgatory, aiobreaker, tenacity) counts failures of a function:
here it is one decision with the choice of the server, and a retry is another server's first try.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from hashlib import blake2b

from sightline.core import GenerateRequest, TextPart
from sightline.engines.upstream.discovery import Discovery
from sightline.engines.upstream.failures import Failure, KeyRefused
from sightline.engines.upstream.server import Server
from sightline.errors import ConfigError, EngineOverloaded, EngineUnavailable
from sightline.log import get_logger
from sightline.settings import UPSTREAM_KEY, UpstreamSettings

log = get_logger(__name__)

REFRESH_INTERVAL_S = 5.0
"""A server may load its models one after another, and takes up others while it runs."""
_WATCH_INTERVAL_S = 0.1
_PROBE_TIMEOUT_S = 60.0
_MAX_RETRIES, _RETRIES_A_REQUEST = 10.0, 0.1
"""How many requests may leave a server that is in for another: a tenth of all, and a few to begin with."""
_TOLERANCE = 1
_PREFIX = 256
_MEANING = {"connect_error": {"meaning": "nothing answers there; is the server running, and the address right?"}}


class Pool:
    """The upstreams of one engine."""

    def __init__(self, servers: Sequence[Server], settings: UpstreamSettings) -> None:
        self.servers = tuple(servers)
        self._retries = _MAX_RETRIES
        self._discovery = Discovery(settings)
        self._settings = settings
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[None] | None = None
        self._refusing: set[Server] = set()

    async def start(self) -> None:
        """Watch the upstreams; return once one has answered a request with each of its models.

        Raises:
            ConfigError: all of them refuse the key.
        """
        self._ready = asyncio.get_running_loop().create_future()
        self._tasks = [
            asyncio.create_task(run(server)) for server in self.servers for run in (self._watch, self._refresh)
        ]
        await self._ready

    async def stop(self) -> None:
        """Fail what runs, and watch no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self.servers:
            server.is_in = False
            for exchange in tuple(server.exchanges):
                exchange.abandon("timeout")

    def earn_retry(self) -> None:
        """Take note that a request has come."""
        self._retries = min(_MAX_RETRIES, self._retries + _RETRIES_A_REQUEST)

    def take_retry(self) -> bool:
        """Whether a request may leave a server that is in."""
        if self._retries < 1:
            return False
        self._retries -= 1
        return True

    def choose(self, request: GenerateRequest, avoid: Server | None = None) -> Server:
        """Choose a server for a request; not `avoid` if there is another.

        Raises:
            EngineUnavailable: none can answer.
            EngineOverloaded: all have as much to do as they may.
        """
        able = [server for server in self.servers if server.is_in and request.model in server.models]
        if len(able) > 1:
            able = [server for server in able if server is not avoid] or able
            able = [server for server in able if not server.is_resting] or able
        if not able:
            message = "None of the model's servers can answer at this moment. Send the request again in a moment."
            raise EngineUnavailable(message, retry_after_s=1)
        able = [server for server in able if len(server.exchanges) < self._settings.max_concurrency]
        if not able:
            raise EngineOverloaded("All of the model's servers have as much to do as they may.", retry_after_s=1)
        least = min(len(server.exchanges) for server in able) + _TOLERANCE
        idle = [server for server in able if len(server.exchanges) <= least]
        return idle[0] if len(idle) == 1 else _nearest(idle, request)

    async def _watch(self, server: Server) -> None:
        while True:
            if not server.is_in and not server.pause.is_waiting:
                await self._discover(server)
            elif server.is_in and self._is_silent(server):
                await self._check_alive(server)
            await asyncio.sleep(_WATCH_INTERVAL_S)

    async def _refresh(self, server: Server) -> None:
        """Beside `_watch`, which goes on where this one hangs."""
        while True:
            await asyncio.sleep(REFRESH_INTERVAL_S)
            if server.is_in:
                await self._discover(server)

    async def _discover(self, server: Server) -> None:
        """Take in what a server has; one that is out is in again when it answers, or left alone for longer."""
        was_in = server.is_in
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await self._discovery.refresh(server)
        except (Failure, TimeoutError) as error:
            reason = error.reason if isinstance(error, Failure) else "timeout"
            if was_in:
                log.info("upstream_refresh_failed", upstream=server.name, reason=reason)
                return
            server.postpone_probe()
            if reason in ("connect_error", "timeout"):
                server.abandon_waiting()
            log.info("upstream_not_ready", upstream=server.name, reason=reason, **_MEANING.get(reason, {}))
            if isinstance(error, KeyRefused):
                self._refuse(server)
        except Exception:  # whatever it says, it is not asked without a pause
            log.exception("upstream_probe_failed", upstream=server.name)
            if not was_in:
                server.postpone_probe()
        else:
            if not was_in:
                self._refusing.discard(server)
                server.reinstate()
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)

    def _refuse(self, server: Server) -> None:
        """End the start where every server refuses the key."""
        self._refusing.add(server)
        if self._ready is None or self._ready.done() or len(self._refusing) < len(self.servers):
            return
        if variable := self._settings.key_env:
            message = f"The upstream {server.name} refuses the key that is in {variable}."
        else:
            message = (
                f"The upstream {server.name} wants a key: put it into {UPSTREAM_KEY} for --upstream, or into a "
                "variable that key_env of [[upstreams]] names."
            )
        self._ready.set_exception(ConfigError(message))

    def _is_silent(self, server: Server) -> bool:
        """Whether nothing came for a while from a server that is at work, and others could take over."""
        if not server.exchanges or not any(other.is_in for other in self.servers if other is not server):
            return False
        heard_at = max(server.alive_at, *(exchange.heard_at for exchange in server.exchanges))
        return time.monotonic() - heard_at > self._settings.health_timeout_s / 4

    async def _check_alive(self, server: Server) -> None:
        """Eject a server that does not even say what it serves."""
        try:
            async with asyncio.timeout(self._settings.health_timeout_s / 2):
                with await server.send("GET", "/v1/models") as response:
                    await response.body()
        except (Failure, TimeoutError) as error:
            server.eject(error.reason if isinstance(error, Failure) else "timeout")
            server.abandon_waiting()
        else:
            server.alive_at = time.monotonic()


def _nearest(servers: Sequence[Server], request: GenerateRequest) -> Server:
    """The same image, or the same beginning, goes to the same server as long as it is not busier than others.

    Rendezvous hashing: when a server comes or goes, only its own requests change places.
    """
    key = _affinity(request)
    return max(servers, key=lambda server: blake2b(key + server.name.encode(), digest_size=8).digest())


def _affinity(request: GenerateRequest) -> bytes:
    if request.files:
        return "".join(file.sha256 for file in request.files).encode()
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, TextPart):
                return part.text[:_PREFIX].encode("utf-8", "replace")
    return b""
