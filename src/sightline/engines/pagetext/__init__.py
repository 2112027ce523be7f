"""Text of pages: the package `pagetext` behind the engine contract. `model.py` can be had without loading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightline.engines.pagetext.model import MODEL_ID

if TYPE_CHECKING:
    from sightline.engines.pagetext.engine import TranscriptionEngine

__all__ = ["MODEL_ID", "create"]


def create(*, threads: int | None = None, precision: str | None = None) -> TranscriptionEngine:
    """Make the engine; `threads` defaults to the cores of this process, `precision` to OpenVINO's choice."""
    from sightline.engines.pagetext.engine import TranscriptionEngine

    return TranscriptionEngine(threads=threads, precision=precision)
