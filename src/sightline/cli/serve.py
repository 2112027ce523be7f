"""`sightline serve`: run the service until it is told to stop, then let running requests finish."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline import traces
from sightline.admission.admit import Admission
from sightline.admission.rate_limits.limiter import RateLimits
from sightline.api.failures import response_of
from sightline.app import create_app
from sightline.cli.greeting import greet_first, open_database
from sightline.cli.terminal import DatabaseUrl, err, fail
from sightline.errors import ConfigError
from sightline.log import configure_logging
from sightline.server.descriptors import with_room_for_connections
from sightline.server.uvicorn_server import Server, listen, url_of
from sightline.settings import Settings, engine_spec, merge_settings, read_file, upstream_pool


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

    Stop it with Ctrl-C or SIGTERM: running requests finish first, for up to server.shutdown_timeout_s (30 s); a second
    Ctrl-C does not wait.
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
        RateLimits.open(settings.redis_url)  # connects nothing; what it cannot do is a sentence here
        if settings.traces:
            traces.require()
        listener = listen(settings.server)
    except ConfigError as error:
        fail(str(error))
    configure_logging()
    err.print(f"Sightline is loading its models; it will answer on {url_of(*listener.getsockname()[:2])} …")
    _run(with_room_for_connections(settings), listener)


def _run(settings: Settings, listener: socket.socket) -> None:
    admission = Admission.of(settings)

    def refuse_new() -> None:
        admission.draining = True

    async def stop_engines() -> None:
        await app.state.runtime.pipeline.catalogue.stop()

    server = Server(
        settings.server,
        response_of,
        on_listening=lambda port: greet_first(settings, port),
        refuse_new=refuse_new,
        stop_engines=stop_engines,
    )
    app = create_app(settings, admission, on_ready=server.engines_ready, on_failure=server.fail)
    server.config.app = app
    server.run(sockets=[listener])
    if server.failure:
        fail(server.failure)
    if not server.started:
        raise typer.Exit(1)


def _settings(config: Path | None, flags: Mapping[str, Any], models: list[str], upstreams: list[str]) -> Settings:
    """What runs by the command line runs instead of what the file says, which then need not be in order either."""
    tree = read_file(config)
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
