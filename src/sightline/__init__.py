"""Sightline: the vision inference API that you host yourself.

For senders: `estimate` says what pictures cost before they are sent, `image_part` makes the content part for any
OpenAI client. Both are loaded when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.client.estimate import estimate
    from sightline.client.part import image_part

__version__ = "0.1.0"
__all__ = ["__version__", "estimate", "image_part"]

_PLACES = {"estimate": "sightline.client.estimate", "image_part": "sightline.client.part"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
