"""The limits and prices of a service, for the commands of those who send to it and do not run it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.settings import Settings, merge_settings, read_file

Config = Annotated[Path | None, typer.Option("--config", help="A TOML file with the service's limits and prices.")]
_RUNNING = ("engines", "upstreams")
"""Tables of a settings file that say what runs, not what it costs."""


def read_limits(config: Path | None) -> Settings:
    """Read the settings of the service as far as its senders need them; without a file those it has without one.

    Raises:
        ConfigError: every problem of the file, one a line.
    """
    # A sender need not have the keys that upstreams take, which the service's environment alone may hold.
    told = {name: value for name, value in read_file(config).items() if name not in _RUNNING}
    return merge_settings(told, {})
