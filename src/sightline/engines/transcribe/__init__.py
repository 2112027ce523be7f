"""Text in pictures: PP-OCRv6 on OpenVINO behind the engine contract.

`model.py` can be had without the engine, and the geometry of reading order (`reading.py`) with numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightline.engines.transcribe.engine import TranscriptionEngine
    from sightline.engines.transcribe.model import MODEL_ID

__all__ = ["MODEL_ID", "TranscriptionEngine", "create"]


def create(*, threads: int | None = None, precision: str | None = None) -> TranscriptionEngine:
    """Make the engine; `threads` defaults to the cores of this process, `precision` to OpenVINO's choice."""
    from sightline.engines.transcribe.engine import TranscriptionEngine

    return TranscriptionEngine(threads=threads, precision=precision)


def __getattr__(name: str) -> Any:
    if name == "MODEL_ID":
        from sightline.engines.transcribe.model import MODEL_ID

        return MODEL_ID
    if name == "TranscriptionEngine":
        from sightline.engines.transcribe.engine import TranscriptionEngine

        return TranscriptionEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
