"""The text of an answer as it grows: cut at a stop string or at the limit of characters.

In: texts of rows, in order. Out: pieces that may be sent. Knows neither pixels nor threads.
"""

from __future__ import annotations

from sightline.core import FinishReason, SamplingParams
from sightline.engines.stop_strings import StopMatcher


class OutputBuffer:
    """One answer under way. Nothing may be added once `finish_reason` is set."""

    def __init__(self, sampling: SamplingParams) -> None:
        self.characters = 0
        self.finish_reason: FinishReason | None = None
        self._limit = sampling.max_tokens
        self._stop_matcher = StopMatcher(sampling.stop)

    def add(self, text: str) -> str:
        """Append text and return what of the answer may be sent now."""
        piece = self._stop_matcher.feed(text)
        return self._limited(piece, "stop" if self._stop_matcher.stopped else None)

    def finish(self) -> str:
        """Say that no text follows; return what was still held back."""
        return self._limited(self._stop_matcher.flush(), "stop")

    def _limited(self, piece: str, reason: FinishReason | None) -> str:
        if self._limit is not None and self.characters + len(piece) > self._limit:
            piece, reason = piece[: self._limit - self.characters], "length"
        self.characters += len(piece)
        self.finish_reason = reason
        return piece
