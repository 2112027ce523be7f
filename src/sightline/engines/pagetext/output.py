"""The text of an answer as it grows: joins lines, cuts at a stop string or at the limit of characters.

In: texts of rows, in order. Out: pieces that may be sent, never one that a later stop string would reach into.
Knows neither pixels nor threads.
"""

from __future__ import annotations

from sightline.core import FinishReason, SamplingParams


class OutputBuffer:
    """One answer under way. `finish_reason` is set once nothing more may be added."""

    def __init__(self, sampling: SamplingParams) -> None:
        self._stop = tuple(stop for stop in sampling.stop if stop)
        self._hold = max((len(stop) for stop in self._stop), default=1) - 1
        self._limit = sampling.max_tokens
        self._held = ""
        self.characters = 0
        self.finish_reason: FinishReason | None = None

    def add(self, text: str) -> str:
        """Append text and return what of the answer may be sent now."""
        if self.finish_reason:
            return ""
        self._held += text
        found = [at for at in (self._held.find(stop) for stop in self._stop) if at >= 0]
        if found:
            return self._release(min(found), "stop")
        return self._release(max(0, len(self._held) - self._hold), None)

    def finish(self) -> str:
        """Say that no text follows; return what was still held back."""
        return "" if self.finish_reason else self._release(len(self._held), "stop")

    def _release(self, count: int, reason: FinishReason | None) -> str:
        if self._limit is not None and self.characters + count > self._limit:
            count, reason = self._limit - self.characters, "length"
        piece, self._held = self._held[:count], self._held[count:]
        self.characters += len(piece)
        self.finish_reason = reason
        return piece
