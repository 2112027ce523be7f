"""Where the commands write: answers to standard output, everything else to standard error."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console

out = Console(highlight=False, soft_wrap=True, markup=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> NoReturn:
    """Say what went wrong and end the command with status 1."""
    err.print("[red]error:[/red]", end=" ")
    err.print(message, markup=False)
    raise typer.Exit(1)
