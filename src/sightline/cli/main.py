"""The commands and their order in `sightline --help`."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from sightline import __version__
from sightline.cli import ask, estimate, fit, keys, ledger, models, serve, usage

app = typer.Typer(
    name="sightline",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("ask")(ask.ask)
app.command("models")(models.models)
app.command("estimate")(estimate.estimate)
app.command("fit")(fit.fit)
app.add_typer(keys.app, name="keys")
app.command("usage")(usage.usage)
app.add_typer(ledger.app, name="ledger")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sightline {__version__}")
        raise typer.Exit


@app.callback()
def sightline(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ask questions about images, on your own machine, in OpenAI's format.

    First time: `sightline serve` starts the service and prints a key; in a second terminal
    `sightline ask photo.png "What is in this image?"` asks it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what a terminal's encoding lacks is spelt, and ends no command
            stream.reconfigure(errors="backslashreplace")
