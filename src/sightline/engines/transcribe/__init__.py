"""Text in pictures: PP-OCRv6 on OpenVINO behind the engine contract."""

from sightline.engines.transcribe.engine import MODEL_ID, TranscriptionEngine

__all__ = ["MODEL_ID", "TranscriptionEngine", "create"]


def create(*, threads: int | None = None, precision: str | None = None) -> TranscriptionEngine:
    """Make the engine; `threads` defaults to the cores of this process, `precision` to OpenVINO's choice."""
    return TranscriptionEngine(threads=threads, precision=precision)
