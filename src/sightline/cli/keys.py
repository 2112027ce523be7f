"""`sightline keys`: make, list and revoke API keys in the service's database."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sightline.auth.keys import ApiKey, Keys
from sightline.cli.storage import Config, Data, open_database
from sightline.cli.terminal import DatabaseUrl, err, fail, out
from sightline.errors import InvalidRequest
from sightline.metering.prices import dollars
from sightline.metering.quota import Spent, spent_by
from sightline.wire.admin import new_key

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
_FLAGS = {"name": "NAME", "expires_at": "--expires", "permissions": "--permission", "models": "--model"}


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    expires: Annotated[
        str | None, typer.Option(help="30d, 12h, or the moment from which it is refused: 2027-01-31 (UTC). [never]")
    ] = None,
    permission: Annotated[
        list[str] | None, typer.Option(help="inference, usage or admin; repeatable. [inference and usage]")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model or alias it may use; repeatable. [all]")] = None,
    requests_per_min: Annotated[int | None, typer.Option(help="[without limit]")] = None,
    tokens_per_min: Annotated[int | None, typer.Option(help="[without limit]")] = None,
    max_in_flight: Annotated[int | None, typer.Option(help="Requests at once. [without limit]")] = None,
    spend_limit: Annotated[str | None, typer.Option(help="US dollars, for example 5.00 [without limit]")] = None,
    spend_period: Annotated[
        str | None, typer.Option(help="The limit is for each day, month or in total. [total]")
    ] = None,
    data: Data = None,
    database: DatabaseUrl = None,
    config: Config = None,
) -> None:
    """Make a key and print it, once; only its hash is stored."""
    fields = {
        "name": name,
        "expires_at": None if expires is None else _moment(expires),
        "permissions": permission or None,
        "models": model or None,
        "requests_per_min": requests_per_min,
        "tokens_per_min": tokens_per_min,
        "max_in_flight": max_in_flight,
        "spend_limit": spend_limit,
        "spend_period": spend_period,
    }
    try:
        new = new_key({field: value for field, value in fields.items() if value is not None})
    except InvalidRequest as error:
        fail("\n".join(_in_flags(problem.message, problem.param or "") for problem in error.details))
    with open_database(data, database, config, writes=True, make=True) as opened:
        key, secret = Keys(opened).create(new)
    err.print(f"{key.id} for {key.name}; the key is shown this once:", markup=False)
    out.print(secret, markup=False)


@app.command("list")
def list_(data: Data = None, database: DatabaseUrl = None, config: Config = None) -> None:
    """List all keys: who, until when, what each may do and has spent. The keys themselves cannot be shown."""
    now = datetime.now(UTC)
    with open_database(data, database, config) as opened:
        rows = Keys(opened).all()
        limits = {key.id: key.spending for key in rows if key.spending}
        spent = opened.read(lambda connection: spent_by(connection, limits, now))
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "ends in", "created", "state", "may", "models", "limits", "spent"):
        table.add_column(column, no_wrap=True)
    for key in rows:
        cells = [key.id, key.name, f"…{key.hint}", _when(key.created_at), _state(key, now)]
        cells += [" ".join(sorted(key.permissions)), " ".join(sorted(key.models or ("all",)))]
        table.add_row(*cells, _limits(key), _spent(key, spent.get(key.id, Spent())))
    # A line a key: the terminal may wrap it, nothing is cut off.
    Console(width=10_000, highlight=False, markup=False, emoji=False).print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id, from: sightline keys list")],
    data: Data = None,
    database: DatabaseUrl = None,
    config: Config = None,
) -> None:
    """Refuse a key from now on; a running service notices within a second."""
    now = datetime.now(UTC)
    with open_database(data, database, config, writes=True) as opened:
        keys = Keys(opened)
        if not keys.revoke(key_id):
            fail(f"No valid key has the id {key_id}. See: sightline keys list")
        has_admin = any("admin" in key.permissions and key.state(now) == "valid" for key in keys.all())
    err.print(f"{key_id} is revoked.", markup=False)
    if not has_admin:
        err.print(
            "No key may manage keys over HTTP any more. Make one with: sightline keys create NAME --permission admin"
        )


def _moment(text: str) -> int:
    """Unix seconds of `30d`, `12h` from now, or of a date or time, in UTC unless it says otherwise."""
    try:
        if span := re.fullmatch(r"([0-9]{1,7})([dh])", text):
            hours = int(span[1]) * (24 if span[2] == "d" else 1)
            moment = datetime.now(UTC) + timedelta(hours=hours)
        else:
            moment = datetime.fromisoformat(text)
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        fail("--expires takes days or hours (30d, 12h) or a date (2027-01-31), before the year 10000.")
    if seconds <= time.time():
        fail(f"--expires {text} is past; give a later day, or a time from now like 30d.")
    return seconds


def _in_flags(message: str, param: str) -> str:
    """A problem of a field, said of the flag that the field came from."""
    field = param.partition(".")[0]
    return message.replace(param, _FLAGS.get(field, "--" + field.replace("_", "-")), 1) if param else message


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _state(key: ApiKey, now: datetime) -> str:
    match key.state(now), key.revoked_at, key.expires_at:
        case "revoked", datetime() as revoked_at, _:
            return f"revoked {_when(revoked_at)}"
        case "expired", _, datetime() as expires_at:
            return f"expired {_when(expires_at)}"
        case _, _, datetime() as expires_at:
            return f"valid until {_when(expires_at)}"
    return "valid"


def _limits(key: ApiKey) -> str:
    limits = key.limits
    each = (
        (limits.requests_per_min, "requests/min"),
        (limits.tokens_per_min, "tokens/min"),
        (limits.max_in_flight, "at once"),
    )
    shown = [f"{limit} {of}" for limit, of in each if limit is not None]
    if key.spending is not None:
        period = {"day": "a day", "month": "a month", "total": "in total"}[key.spending.period]
        shown.append(f"${dollars(key.spending.nanos)} {period}")
    return ", ".join(shown) or "none"


def _spent(key: ApiKey, spent: Spent) -> str:
    if key.spending is None:
        return ""
    period = {"day": " today", "month": " this month", "total": ""}[key.spending.period]
    return f"${dollars(spent.settled_nanos)} of ${dollars(key.spending.nanos)}{period}"
