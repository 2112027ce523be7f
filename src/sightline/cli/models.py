"""`sightline models`: what the running service can answer with."""

from __future__ import annotations

from rich.table import Table

from sightline.cli.api_client import connect, list_models
from sightline.cli.terminal import out


def models() -> None:
    """List the models of the running service."""
    with connect() as client:
        entries = list_models(client)
    has_aliases = any(model["aliases"] for model in entries)
    table = Table(box=None, pad_edge=False)
    for name in ("model", *(("also as",) if has_aliases else ()), "takes", "images", "context"):
        table.add_column(name)
    for model in entries:
        takes = " + ".join(model["architecture"]["input_modalities"])
        names = (model["id"], *((", ".join(model["aliases"]),) if has_aliases else ()))
        table.add_row(*names, takes, str(model["max_images"]), f"{model['context_length']:,}")
    out.print(table)
