"""Where the commands write: answers to standard output, everything else to standard error; options they share."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console

BASE_URL = "http://127.0.0.1:8000/v1"
"""Where a service that was started without options answers."""
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="A Postgres instead of --data, postgresql://user@host/name; a URL with a password belongs into the "
        "environment, as SIGHTLINE_DATABASE, where other users of the machine cannot read it.",
    ),
]


def say(text: str) -> None:
    """Write a piece of an answer, every character as it is; to a terminal without those that would steer it."""
    typer.echo(text.translate(_CONTROLS) if sys.stdout.isatty() else text, nl=False)


def fail(message: str) -> NoReturn:
    """Say what went wrong and end the command with status 1."""
    err.print("[red]error:[/red]", end=" ")
    err.print(message, markup=False)
    raise typer.Exit(1)
