"""`sightline usage`: what was used and what it cost, from the service's ledger."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import Annotated, Literal

import typer
from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from sightline.cli.storage import Config, Data, open_database
from sightline.cli.terminal import DatabaseUrl, err, fail, out
from sightline.metering.prices import dollars
from sightline.metering.report_format import (
    as_csv,
    as_json,
    line_body,
    line_columns,
    parse_time,
    total_body,
    total_columns,
)
from sightline.metering.reports import (
    Group,
    RequestRecord,
    Selection,
    Total,
    every,
    key_ids,
    models_beside,
    requests,
    totals,
)
from sightline.store.database import Database

Format = Literal["table", "json", "csv", "jsonl"]
_SHOWN = 50
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class By(StrEnum):
    """What to add up by."""

    day = "day"
    model = "model"
    key = "key"


def usage(
    by: Annotated[
        list[By] | None, typer.Option(help="What to add up by; repeatable: --by key --by model. [day]")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="7d, 2w (whole days), 12h, a day like 2026-11-21, or a time. [the beginning]")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to, not including; written as --since. [now]")] = None,
    key: Annotated[str | None, typer.Option(help="Only this key: its name or its id.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = "table",
    each: Annotated[bool, typer.Option("--requests", help="List single requests, the newest first.")] = False,
    data: Data = None,
    database: DatabaseUrl = None,
    config: Config = None,
) -> None:
    """Say what was used and what it cost: by day, by model, by key, or request by request.

    `sightline usage --since 7d` shows a week as a table with bars; `sightline usage --requests --format jsonl`
    writes one line a request. It reads the database itself, so the service need not run. Days are of UTC.
    """
    groups: tuple[Group, ...] = tuple(dict.fromkeys(one.value for one in by or [By.day]))
    begin, end = _moment("--since", since), _moment("--until", until)
    if begin and end and begin >= end:
        fail(f"--until ({end:%Y-%m-%d %H:%M}) is not after --since ({begin:%Y-%m-%d %H:%M}): nothing lies between.")
    with open_database(data, database, config) as opened:
        selection = Selection(begin, end, _keys(opened, key), _model(opened, model))
        if each:
            lines = every(opened, lambda connection, after: requests(connection, selection, after=after))
            _print_lines(lines, form)
        else:
            rows = every(opened, lambda connection, after: totals(connection, groups, selection, after=after))
            _print_totals(rows, groups, form)


def _moment(option: str, text: str | None) -> datetime | None:
    """Read a time; so many days or weeks ago begin with their first day."""
    if text is None:
        return None
    try:
        if found := re.fullmatch(r"([0-9]{1,5})([hdw])", text):
            time = datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
            return time if found[2] == "h" else time.replace(hour=0, minute=0, second=0, microsecond=0)
        return parse_time(text)
    except (ValueError, OverflowError):
        fail(f"{option} {text}: give 7d, 2w, 12h, a day like 2026-11-21, or a time like 2026-11-21T08:00:00Z")


def _keys(database: Database, name_or_id: str | None) -> tuple[str, ...] | None:
    if name_or_id is None:
        return None
    ids = database.read(partial(key_ids, name_or_id=name_or_id))
    if not ids:
        fail(f"No key has the name or id {name_or_id}. See: sightline keys list")
    return ids


def _model(database: Database, name: str | None) -> str | None:
    """A model that the ledger knows; an empty one knows none, and says so itself."""
    if name is not None and (others := database.read(partial(models_beside, name=name))):
        shown = ", ".join(others[:_SHOWN])
        fail(
            f"The ledger has no request of a model {name}. It has {shown}; an alias counts as the model that answered."
        )
    return name


def _print_totals(rows: Iterator[Total], by: Sequence[Group], form: Format) -> None:
    if form == "table":
        kept = list(rows)
        if kept:
            out.print(_totals_table(_without_gaps(kept) if by == ("day",) else kept, by))
        else:
            _print_nothing()
    else:
        _print_text((total_body(row, by) for row in rows), total_columns(by), form)


def _print_lines(lines: Iterator[RequestRecord], form: Format) -> None:
    if form != "table":
        _print_text((line_body(line) for line in lines), line_columns(), form)
        return
    kept = list(islice(lines, _SHOWN))
    if not kept:
        _print_nothing()
        return
    out.print(_lines_table(kept))
    if next(lines, None) is not None:
        err.print(f"The newest {_SHOWN} are shown; all of them: --format csv or jsonl")


def _print_nothing() -> None:
    out.print("No requests yet in what was asked for. Each one is written down as it ends: sightline ask …")


def _print_text(bodies: Iterator[dict[str, object]], columns: Sequence[str], form: Format) -> None:
    """Print row by row: a ledger may be longer than memory."""
    if form == "csv":
        for text in as_csv(bodies, columns):
            typer.echo(text, nl=False)
    elif form == "jsonl":
        for body in bodies:
            typer.echo(as_json(body))
    else:
        typer.echo('{"object":"list","data":[', nl=False)
        for number, body in enumerate(bodies):
            typer.echo(f"{',' if number else ''}\n{as_json(body)}", nl=False)
        typer.echo("\n]}")


def _without_gaps(rows: list[Total]) -> list[Total]:
    """Put in the days on which nothing was asked, so that bars stand at their time."""
    nothing = _sum([])
    by_day = {date.fromisoformat(row.day): row for row in rows if row.day}
    first, last = min(by_day), max(by_day)
    days = (first + timedelta(at) for at in range((last - first).days + 1))
    return [by_day.get(day, replace(nothing, day=day.isoformat())) for day in days]


def _totals_table(rows: list[Total], by: Sequence[Group]) -> Table:
    """The rows, their sum, and a bar for each: dollars where anything costs something, tokens otherwise."""
    is_priced = any(row.nanos for row in rows)
    sizes = [row.nanos if is_priced else row.prompt_tokens + row.completion_tokens for row in rows]
    table = Table(box=None, pad_edge=False, show_footer=True)
    for at, group in enumerate(by):
        table.add_column(group, "" if at else "all", overflow="fold", min_width=16 if group == "model" else 10)
    figures = [_figures(row) for row in (*rows, _sum(rows))]
    for name, footer in zip(("requests", "failed", "prompt", "completion", "image", "US$"), figures[-1], strict=True):
        table.add_column(name, footer, justify="right", no_wrap=True)
    table.add_column("spent" if is_priced else "tokens", min_width=6, ratio=1)
    for row, figure, size in zip(rows, figures, sizes, strict=False):
        names = (row.day if name == "day" else row.model if name == "model" else _key(row) for name in by)
        bar = Bar(max(1, *sizes), 0, size, color="green")
        table.add_row(*(Text(name or "–") for name in names), *figure, bar)
    return table


def _sum(rows: Iterable[Total]) -> Total:
    sums = [0] * 6
    for row in rows:
        mine = (row.requests, row.failed, row.prompt_tokens, row.completion_tokens, row.image_tokens, row.nanos)
        sums = [sum(pair) for pair in zip(sums, mine, strict=True)]
    return Total(None, None, None, None, *sums)


def _figures(row: Total) -> list[str]:
    counts = (row.requests, row.failed, row.prompt_tokens, row.completion_tokens, row.image_tokens)
    return [*(f"{count:,}" for count in counts), dollars(row.nanos)]


def _key(row: Total | RequestRecord) -> str | None:
    return row.key_name or row.key_id


def _lines_table(lines: list[RequestRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("time", "key", "model", "status"):
        table.add_column(name, overflow="fold", no_wrap=name == "time", min_width=10)
    for name in ("prompt", "completion", "images", "US$"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        status = str(line.status) if line.outcome == "completed" else f"{line.status} {line.error or line.outcome}"
        names = (f"{line.created_at:%Y-%m-%d %H:%M:%S}", _key(line) or "", line.model, status)
        counts = (f"{line.prompt_tokens:,}", f"{line.completion_tokens:,}", str(len(line.images)), dollars(line.nanos))
        table.add_row(*(Text(name) for name in names), *counts)
    return table
