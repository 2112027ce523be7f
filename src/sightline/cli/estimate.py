"""`sightline estimate`: what pictures cost and whether they fit, before anything is sent; offline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from sightline.cli.limits import Config, read_limits
from sightline.cli.terminal import fail, out
from sightline.client.estimate import ImageEstimate, ImageTokens, RequestEstimate, estimate_image, estimate_request
from sightline.client.image_file import content_part, user_message
from sightline.client.models import KnownModel, known_models
from sightline.core import Detail
from sightline.errors import ConfigError
from sightline.metering.prices import dollars
from sightline.settings import PriceSettings, Settings


def estimate(
    images: Annotated[list[Path], typer.Argument(help="Pictures: png, jpeg, webp or gif.", metavar="IMAGE…")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that comes with Sightline, or a folder of an OpenVINO export; repeatable. "
            "[sightline/peek-12m/bf-16, paddleocr/pp-ocr-v6-small/fp-32]"
        ),
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Count one request of all the pictures and this text as well.")
    ] = None,
    detail: Annotated[
        Detail, typer.Option(help="What the pictures are sent with: low, high (closer views, where a model has them).")
    ] = "auto",
    price: Annotated[
        str | None, typer.Option(help="US dollars a prompt token, for every model. [the config's, or free]")
    ] = None,
    config: Config = None,
) -> None:
    """Say what pictures cost and whether they fit, without a service: exact tokens, the guide's estimate, the price.

    For some models the service also reads the text in a picture; it counts towards the prompt, and only --prompt
    counts it. Ends with status 1 if one does not fit.
    """
    try:
        settings = read_limits(config)
        models = known_models([settings.aliases.get(name, name) for name in model or ()])
    except ConfigError as error:
        fail(str(error))
    if price is not None:
        settings = _priced(settings, price, models)
    files = [(path, _read(path)) for path in images]
    estimates = [estimate_image(data, models, settings, name=str(path), detail=detail) for path, data in files]
    out.print(_images_table(estimates, models))
    _print_problems((one.name, one.problem) for one in estimates)
    requests: list[RequestEstimate] = []
    if prompt is None:
        _print_readers(models)
    else:
        message = user_message([content_part(data, detail) for _, data in files], prompt)
        requests = [estimate_request([message], one, settings) for one in models]
        out.print()
        out.print(_requests_table(requests))
        _print_problems((one.model, one.problem) for one in requests)
    if not all(one.fits for one in estimates) or not all(one.fits for one in requests):
        raise typer.Exit(1)


def _priced(settings: Settings, price: str, models: list[KnownModel]) -> Settings:
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
    is_priced = any(seen.cost_nanos for one in estimates for seen in one.models)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("image", overflow="fold", min_width=10)
    table.add_column("type", no_wrap=True)
    for name in ("size", "bytes", "estimate"):
        table.add_column(name, justify="right", no_wrap=True)
    for model in models:
        table.add_column(_short(model.info.id), justify="right", overflow="fold", min_width=9)
    table.add_column("fits", no_wrap=True)
    for one in estimates:
        known = [one.type.removeprefix("image/"), f"{one.width:,} × {one.height:,}", f"{one.documented_estimate:,}"]
        kind, size, estimated = known if one.type else ("–", "–", "–")
        counts = [_count(seen, is_priced) for seen in one.models] or ["–"] * len(models)
        table.add_row(one.name, kind, size, f"{one.bytes:,}", estimated, *counts, _fits(one.problem))
    return table


def _requests_table(requests: list[RequestEstimate]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("one request to", overflow="fold")
    for name in ("input tokens", "for images", "for text", "US$"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("fits", no_wrap=True)
    for one in requests:
        counts = [f"{count:,}" for count in (one.input_tokens, one.image_tokens, one.text_tokens)]
        table.add_row(one.model, *counts, dollars(one.cost_nanos), _fits(one.problem))
    return table


def _print_problems(problems: Iterable[tuple[str, str | None]]) -> None:
    """Print why what does not fit does not, below the table: sentences are too long for a column."""
    for name, problem in problems:
        if problem is not None:
            out.print(Text.assemble("\n", (name, "bold"), ": ", problem))


def _print_readers(models: list[KnownModel]) -> None:
    """Say of which models the tokens are not all, where no request is counted."""
    for model in models:
        if most := model.info.ocr_max_chars:
            told = f" is also read the text in a picture, up to {most:,} characters of it; "
            out.print(
                Text.assemble("\n", (model.info.id, "bold"), told, "--prompt TEXT counts a whole request exactly.")
            )


def _short(model_id: str) -> str:
    """The middle of an id like `maker/name/precision`, for a narrow column."""
    parts = model_id.split("/")
    return parts[1] if len(parts) == 3 else model_id


def _count(seen: ImageTokens, is_priced: bool) -> str:
    closer = f"\n{seen.views} views" if seen.views > 1 else ""
    return f"{seen.image_tokens:,}" + closer + (f"\n${dollars(seen.cost_nanos)}" if is_priced else "")


def _fits(problem: str | None) -> Text:
    return Text("yes", "green") if problem is None else Text("no", "red")
