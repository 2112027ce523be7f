"""`sightline estimate`: what pictures cost and whether they fit, before anything is sent; offline."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from sightline.cli.terminal import fail, out
from sightline.errors import ConfigError
from sightline.metering.prices import dollars
from sightline.sender.estimate import ImageEstimate, RequestEstimate, estimate_image, estimate_request
from sightline.sender.models import KnownModel, known_models
from sightline.sender.picture import content_part, user_message
from sightline.settings import PriceSettings, Settings, load_settings


def estimate(
    images: Annotated[list[Path], typer.Argument(help="Pictures: png, jpeg, webp or gif.", metavar="IMAGE…")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model that comes with Sightline, or a folder with an OpenVINO export; repeatable. [all]"),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Count one request of all the pictures and this text as well.")
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="US dollars a prompt token, for every model. [the config's, or free]")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with the service's limits and prices.")] = None,
) -> None:
    """Say what pictures cost and whether they fit, without a service: exact tokens, the guide's estimate, the price.

    Ends with status 1 if one does not fit.
    """
    try:
        models = known_models(model or [])
        settings = _settings(config, price, models)
    except ConfigError as error:
        fail(str(error))
    files = [(path, _read(path)) for path in images]
    estimates = [estimate_image(data, models, settings, name=str(path)) for path, data in files]
    out.print(_images_table(estimates, models))
    requests: list[RequestEstimate] = []
    if prompt is not None:
        message = user_message([content_part(data) for _, data in files], prompt)
        requests = [estimate_request([message], one, settings) for one in models]
        out.print()
        out.print(_requests_table(requests))
    if not all(one.fits for one in estimates) or not all(one.fits for one in requests):
        raise typer.Exit(1)


def _settings(config: Path | None, price: str | None, models: list[KnownModel]) -> Settings:
    settings = load_settings({}, file=config)
    if price is None:
        return settings
    try:
        each = PriceSettings(prompt=Decimal(price))
    except InvalidOperation:
        fail(f"--price {price}: give US dollars a token as a number, for example 0.00000025")
    if not each.prompt.is_finite() or each.prompt < 0:
        fail(f"--price {price}: a price is 0 or more")
    return replace(settings, prices={one.info.id: each for one in models})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")


def _images_table(estimates: list[ImageEstimate], models: list[KnownModel]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("image", overflow="fold")
    for name in ("type", "size", "bytes", "estimate"):
        table.add_column(name, justify="left" if name == "type" else "right", no_wrap=True)
    for model in models:
        table.add_column(f"{model.info.id} tokens", justify="right", overflow="fold")
        table.add_column("US$", justify="right", no_wrap=True)
    table.add_column("fits", overflow="fold")
    for one in estimates:
        counts = [text for seen in one.models for text in (f"{seen.image_tokens:,}", dollars(seen.cost_nanos))]
        size = f"{one.width:,} × {one.height:,}" if one.type else "–"
        estimated = f"{one.documented_estimate:,}" if one.type else "–"
        counts = counts or ["–"] * (2 * len(models))
        kind = one.type.removeprefix("image/") or "–"
        table.add_row(one.name, kind, size, f"{one.bytes:,}", estimated, *counts, _fits(one.problem))
    return table


def _requests_table(requests: list[RequestEstimate]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("one request to", overflow="fold")
    for name in ("input tokens", "for images", "for text", "US$"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("fits", overflow="fold")
    for one in requests:
        counts = [f"{count:,}" for count in (one.input_tokens, one.image_tokens, one.text_tokens)]
        table.add_row(one.model, *counts, dollars(one.cost_nanos), _fits(one.problem))
    return table


def _fits(problem: str | None) -> Text:
    return Text("yes", "green") if problem is None else Text.assemble(("no: ", "red"), problem)
