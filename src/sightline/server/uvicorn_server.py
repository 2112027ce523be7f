"""uvicorn, started and stopped as a service needs it: the port is shared or taken, running requests finish first.

Reaches into `uvicorn.Server` (`startup`, `shutdown`, `servers`, `lifespan`): see `server.connection`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.responses import Response

from sightline.errors import ConfigError, ServiceError
from sightline.server.connection import close_overdue, connection_class
from sightline.server.tuning import tune
from sightline.settings import ServerSettings

_FAILING_S = 3
"""After the time to finish, for what still runs to say that it has failed."""


def listen(server: ServerSettings) -> socket.socket:
    """Take the port: a shared one without listening on it yet, any other so that clients wait instead of failing.

    Raises:
        ConfigError: it cannot be had.
    """
    address = server.host, server.port
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        if not server.reuse_port:
            return socket.create_server(address, family=family)
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ConfigError(f"Cannot listen on {url_of(*address)}: {reason}. Choose another --port.") from error
    return listener


def url_of(host: str, port: int) -> str:
    """Where a service on this address answers."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class Server(uvicorn.Server):
    """Serves `config.app`, which is set before `run`. A drained stop is a success, a failed start is not.

    `on_listening` is called on a thread with the port once the engines are ready and clients are taken;
    `refuse_new` late in a stop, and `stop_engines` at its end, when what still runs has to fail.
    """

    def __init__(
        self,
        settings: ServerSettings,
        error_response: Callable[[ServiceError], Response],
        *,
        on_listening: Callable[[int], None],
        refuse_new: Callable[[], None],
        stop_engines: Callable[[], Awaitable[object]],
    ) -> None:
        super().__init__(_config(settings, error_response))
        self.failure: str | None = None
        self._settings = settings
        self._on_listening = on_listening
        self._refuse_new = refuse_new
        self._stop_engines = stop_engines
        self._are_engines_ready = False
        self._held_back: list[socket.socket] = []
        self._opening: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and close connections whose deadline has passed.

        On a port that is shared, listen only once the engines are ready: until then its requests are others'.
        """
        if self._settings.reuse_port:
            self._held_back, sockets = sockets or [], []
        await super().startup(sockets)
        self._sweep = asyncio.create_task(close_overdue(self.server_state.connections))
        if self.started and self._are_engines_ready:
            self._opening = asyncio.create_task(self._open())

    def engines_ready(self) -> None:
        """Every engine has answered its warm-up."""
        self._are_engines_ready = True
        if self.started:
            self._opening = asyncio.create_task(self._open())

    def fail(self, message: str) -> None:
        """Stop, because the service can never become ready."""
        self.failure = message
        self.should_exit = True

    async def _open(self) -> None:
        """Begin to listen where that was held back."""
        tune()
        try:
            for listener in self._held_back:
                if not self.should_exit:
                    await self._listen(listener)
        except OSError as error:
            self.fail(f"Cannot listen on {url_of(self.config.host, self.config.port)}: {error.strerror}.")
        if self.servers:
            port = self.servers[0].sockets[0].getsockname()[1]  # the real one, also for --port 0
            await asyncio.to_thread(self._on_listening, port)

    async def _listen(self, listener: socket.socket) -> None:
        create_server = asyncio.get_running_loop().create_server
        self.servers.append(await create_server(self._protocol, sock=listener, backlog=self.config.backlog))

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return made

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more connections; a second signal does not wait for requests that run."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is idle, and finish what runs.

        A request of which a part has come is finished like the rest; only late in the time that is left is it refused,
        since it would be cut short. What runs even longer fails with its engine, which is an answer and costs nothing.
        """
        late = asyncio.get_running_loop().call_later(self._settings.shutdown_timeout_s / 2, self._refuse_new)
        ending = asyncio.create_task(self._end_work())
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()
            ending.cancel()

    async def _end_work(self) -> None:
        await asyncio.sleep(self._settings.shutdown_timeout_s)
        if self.started and self.server_state.tasks:
            await self._stop_engines()


def _config(settings: ServerSettings, error_response: Callable[[ServiceError], Response]) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(_is_failure)
    return uvicorn.Config(
        app="",
        host=settings.host,
        port=settings.port,
        http=connection_class(settings, error_response),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_timeout_s,  # type: ignore[arg-type]  # goes to `call_later`
        timeout_graceful_shutdown=round(settings.shutdown_timeout_s) + _FAILING_S,
    )


def _is_failure(record: logging.LogRecord) -> bool:
    """Whether to log what uvicorn says: what a stop cut short, a request or the lifespan, is no failure of ours."""
    cut_short = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cut_short and "CancelledError" not in record.getMessage()
