"""`sightline serve`: run the service until it is told to stop, then let running requests finish."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn

from sightline import traces
from sightline.admission.admit import Admission
from sightline.admission.limits import RateLimits
from sightline.allocator import give_back
from sightline.api.protocol import close_overdue, protocol_of
from sightline.app import create_app
from sightline.cli.descriptors import with_room_for_connections
from sightline.cli.greeting import greet_first, open_database, url_of
from sightline.cli.terminal import DatabaseUrl, err, fail
from sightline.errors import ConfigError
from sightline.log import configure_logging, get_logger
from sightline.settings import ServerSettings, Settings, engine_spec, merge_settings, read_file, upstream_pool

log = get_logger(__name__)

COLLECT_AFTER = (5_000, 3, 1000)
"""Objects made and not freed before the youngest are gone through, and how often that is before older ones are.

What is gone through at once takes milliseconds at most, also while ten thousand connections come.
"""
_ENDING_S = 3
"""After the drain, for what still runs to say that it has failed."""
_KEPT_BYTES = 64 << 20
_LARGEST_KEPT_BYTES = 32 << 20  # glibc takes no more

SWITCH_S = 0.0005
"""How long a thread that wants the interpreter waits before the one that has it is asked for it. By Python's 5 ms a
commit would be waiting for most of its time, and be woken in vain whenever the event loop calls the system."""


def spare_collector() -> None:
    """Keep the garbage collector from going through what stays for good, at every few requests: a sixth of their time.

    Requests leave next to no cycles behind, so that it need not look for them often either.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def keep_memory() -> None:
    """Keep the memory of one body for the next: else each large one has its pages taken away and zeroed anew.

    Each arena keeps as much, so that there are few.
    """
    give_back(from_bytes=_KEPT_BYTES, blocks_from_bytes=_LARGEST_KEPT_BYTES, arenas=2)


class Server(uvicorn.Server):
    """uvicorn, with an exit status of our own: a drained stop is a success, a failed start is not."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(_uvicorn(settings))
        self.admission = Admission.of(settings)
        self.failure: str | None = None
        self._settings = settings
        self._are_engines_ready = False
        self._held_back: list[socket.socket] = []
        self._opening: asyncio.Task[None] | None = None
        self.config.app = self._application = create_app(
            settings, self.admission, on_ready=self._engines_ready, on_failure=self.fail
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with an eye on slow clients; greet if the engines were quicker.

        On a port that is shared, listen only once the engines are ready: until then its requests are others'.
        """
        if self._settings.server.reuse_port:
            self._held_back, sockets = sockets or [], []
        await super().startup(sockets)
        self._sweep = asyncio.create_task(close_overdue(self.server_state.connections))
        if self.started and self._are_engines_ready:
            self._opening = asyncio.create_task(self._open())

    def _engines_ready(self) -> None:
        self._are_engines_ready = True
        if self.started:
            self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        """Begin to listen where that was held back, and greet."""
        spare_collector()
        sys.setswitchinterval(SWITCH_S)
        keep_memory()
        try:
            for listener in self._held_back:
                if not self.should_exit:
                    await self.listen(listener)
            if self.servers:
                await self.greet()
        except OSError as error:
            self.fail(f"Cannot listen on {url_of(self.config.host, self.config.port)}: {error.strerror}.")

    async def listen(self, listener: socket.socket) -> asyncio.Server:
        """Take connections from a socket until the server stops."""
        create_server = asyncio.get_running_loop().create_server
        server = await create_server(self._protocol, sock=listener, backlog=self.config.backlog)
        self.servers.append(server)
        return server

    def _protocol(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        made: asyncio.Protocol = kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return made

    async def greet(self) -> None:
        """Say that requests are taken, and by what address."""
        port = self.servers[0].sockets[0].getsockname()[1]  # the real one, also for --port 0
        await asyncio.to_thread(greet_first, self._settings, port)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take no more connections; a second signal does not wait for requests that run."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is idle, and finish what runs.

        A request of which a part has come is finished like the rest; only late in the time that is left is it refused,
        since it would be cut short. What runs even longer fails with its engine, which is an answer and costs nothing.
        """
        late = asyncio.get_running_loop().call_later(self._settings.server.drain_s / 2, self._refuse)
        ending = asyncio.create_task(self._end_work())
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()
            ending.cancel()

    async def _end_work(self) -> None:
        await asyncio.sleep(self._settings.server.drain_s)
        if self.started and self.server_state.tasks:
            await self._application.runtime.service.catalogue.stop()

    def _refuse(self) -> None:
        self.admission.draining = True

    def fail(self, message: str) -> None:
        """Stop, because the service can never become ready."""
        self.failure = message
        self.should_exit = True


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one. [8000]")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder for the database. [~/.sightline]")] = None,
    database: DatabaseUrl = None,
    reuse_port: Annotated[
        bool | None,
        typer.Option("--reuse-port", help="Share the port: start a new process so, then stop the old one."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that comes with Sightline, or a folder of an OpenVINO export; repeatable. "
            "[sightline/peek-12m/bf-16, paddleocr/pp-ocr-v6-small/fp-32]"
        ),
    ] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(metavar="URL[,URL…]", help="OpenAI-compatible servers to forward to, instead; repeatable."),
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option(help="ALIAS=MODEL: serve a model under another id as well; repeatable.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with settings.")] = None,
) -> None:
    """Run the service. On a first start it makes an API key and prints it, once.

    Stop it with Ctrl-C or SIGTERM: running requests finish first, for up to server.drain_s (30 s); a second Ctrl-C does
    not wait.
    """
    flags = {
        "server.host": host,
        "server.port": port,
        "server.reuse_port": reuse_port,
        "data": data,
        "database": database,
        "aliases": _pairs(alias),
    }
    try:
        settings = _settings(config, flags, model or [], upstream or [])
        open_database(settings).close()
        RateLimits(settings.redis_url)  # connects nothing; what it cannot do is a sentence here
        if settings.traces:
            traces.require()
        listener = _listen(settings.server)
    except ConfigError as error:
        fail(str(error))
    configure_logging()
    url = url_of(settings.server.host, listener.getsockname()[1])
    err.print(f"Sightline is loading its models; it will answer on {url} …")
    logging.getLogger("uvicorn.error").addFilter(_is_failure)
    server = Server(with_room_for_connections(settings))
    server.run(sockets=[listener])
    if server.failure:
        fail(server.failure)
    if not server.started:
        raise typer.Exit(1)


def _is_failure(record: logging.LogRecord) -> bool:
    """Whether to log what uvicorn says: what a stop cut short, a request or the lifespan, is no failure of ours."""
    cut_short = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cut_short and "CancelledError" not in record.getMessage()


def _settings(config: Path | None, flags: Mapping[str, Any], models: list[str], upstreams: list[str]) -> Settings:
    """What runs by the command line runs instead of what the file says, which then need not be in order either."""
    tree = read_file(config) if config else {}
    for name, given in (("engines", models), ("upstreams", upstreams)):
        if given:
            tree.pop(name, None)
    settings = merge_settings(tree, flags)
    if models:
        settings = replace(settings, engines=tuple(engine_spec(name) for name in models))
    if upstreams:
        settings = replace(settings, upstreams=tuple(upstream_pool(urls) for urls in upstreams))
    return settings


def _pairs(aliases: list[str] | None) -> dict[str, str] | None:
    if aliases is None:
        return None
    pairs = {alias.partition("=")[0]: alias.partition("=")[2] for alias in aliases}
    if not all(pairs.keys()) or not all(pairs.values()):
        fail("--alias takes ALIAS=MODEL, for example --alias gpt-4o=sightline/peek-12m/bf-16")
    return pairs


def _uvicorn(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app="",
        host=settings.server.host,
        port=settings.server.port,
        http=protocol_of(settings.server),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(settings.server.drain_s) + _ENDING_S,
    )


def _listen(server: ServerSettings) -> socket.socket:
    """Take the port: a shared one without listening on it yet, any other so that clients wait instead of failing."""
    host, port = server.host, server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if not server.reuse_port:
            return socket.create_server((host, port), family=family)
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        return listener
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ConfigError(f"Cannot listen on {url_of(host, port)}: {reason}. Choose another --port.") from error
