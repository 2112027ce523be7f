"""`sightline ledger check`: proof that the rows add up."""

from __future__ import annotations

from contextlib import closing

import typer

from sightline.cli.storage import Config, Data, open_database
from sightline.cli.terminal import DatabaseUrl, err, out
from sightline.metering.audit import check as audit
from sightline.metering.prices import dollars

app = typer.Typer(no_args_is_help=True, help="Look after the ledger of requests.")


@app.callback()
def ledger() -> None:
    """Look after the ledger of requests."""


@app.command()
def check(data: Data = None, database: DatabaseUrl = None, config: Config = None) -> None:
    """Prove that the ledger adds up: every row, every sum, and that nothing that has ended can be changed.

    Ends with status 1 and names every discrepancy if it does not, with 2 if that could not be found out. The service
    may run meanwhile.
    """
    try:
        with open_database(data, database, config) as opened, closing(opened.liveness()) as liveness:
            result = audit(opened, liveness)
    except typer.Exit as unchecked:
        raise typer.Exit(2) from unchecked
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in result.by_outcome.items())
    out.print(f"{result.rows:,} rows{f' ({outcomes})' if outcomes else ''}")
    out.print(f"{result.tokens:,} tokens, ${dollars(result.nanos)}")
    for sentence in result.discrepancies:
        out.print(sentence)
    if result.discrepancies:
        err.print(f"[red]The ledger does not add up:[/red] {len(result.discrepancies):,} discrepancies.")
        raise typer.Exit(1)
    out.print("The ledger adds up.")
