"""What a setting is checked for beyond its type; pydantic puts what is raised into words of ours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import urlsplit

from pydantic_core import ErrorDetails

LARGE_SHARE = 7 / 8
"""Of what may be held of bodies, for those that are not small: a burst of them leaves room for small ones."""


def least_held_bytes(max_body_bytes: int) -> int:
    """How much must be allowed to be held for one body of so many bytes to be taken."""
    return math.ceil(max_body_bytes / LARGE_SHARE)


def address(url: str) -> str:
    """Refuse an address of a server that none can have."""
    if not url.isascii():
        raise ValueError("must be ASCII; write other letters as xn--… in a host, as %… in a path")
    parts = urlsplit(url)
    if parts.port == 0:  # refuses what is too high itself
        raise ValueError("Port 0 is none to connect to")
    if not all(0 < len(label) < 64 for label in (parts.hostname or "").removesuffix(".").split(".")):
        raise ValueError("has a host that is no name or number")
    return url


def folder(path: Path) -> Path:
    """Refuse a folder below the home of somebody who is not known here."""
    try:
        path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} is below the home of nobody who is known here") from error
    return path


def in_words(problem: ErrorDetails, kind: type) -> str:
    """Pydantic's words about a setting as a person would say them; the value may be a secret, and is not shown.

    `kind` is the class of the whole tree, whose names are known.
    """
    says = problem["msg"].replace("Input should", "it should", 1)
    if problem["type"] == "unexpected_keyword_argument":
        says = "there is no such setting" + nearest(str(problem["loc"][-1]), _names_beside(kind, problem["loc"]))
    return f"{'.'.join(map(str, problem['loc']))}: {says}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which of the `known` names was meant, most likely, and where all of them stand."""
    found = get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]}?" if found else "; docs/settings.md has them all"


def _names_beside(kind: Any, loc: Sequence[int | str]) -> list[str]:
    """The names of the section that the last of `loc` would stand in."""
    for part in loc[:-1]:
        hint = get_type_hints(kind).get(part, kind) if isinstance(part, str) else kind
        kinds = [one for one in (hint, *get_args(hint)) if is_dataclass(one)]
        kind = kinds[0] if kinds else kind
    return [item.name for item in fields(kind)]
