"""Token ids to text that is safe to send: whole characters only, and never a piece of a stop string.

In: token ids as the pipeline yields them. Out: text, a piece at a time. Works on bytes, since one character may be
spread over several tokens. Knows nothing of requests or of the pipeline.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass


class TextStream:
    """Turns the tokens of one answer into text; bytes of an unfinished character wait for the rest of it.

    `pieces[id]` is the bytes of a token, empty for one that is never shown. Bytes that can never become a
    character are replaced by U+FFFD.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token_id: int) -> str:
        """Return the characters that this token completes."""
        return self._decoder.decode(self._pieces[token_id])

    def flush(self) -> str:
        """Return what is left when no further token comes."""
        return self._decoder.decode(b"", final=True)


@dataclass(frozen=True, slots=True)
class Cut:
    """Text cleared for sending; `stopped` when a stop string was met, and nothing after it counts."""

    text: str
    stopped: bool = False


class StopMatcher:
    """Finds stop strings in a growing text; holds back an end that may yet become one.

    The stop string that is complete first wins, so the result does not depend on how the text was cut in pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""

    def feed(self, text: str) -> Cut:
        """Add text; return what is certain. Not to be called again once `stopped` was returned."""
        text = self._held + text
        start = self._first_match(text)
        if start is not None:
            self._held = ""
            return Cut(text[:start], stopped=True)
        keep = self._longest_open_end(text)
        self._held = text[len(text) - keep :]
        return Cut(text[: len(text) - keep])

    def flush(self) -> str:
        """Return the held text when no more comes: it was no stop string after all."""
        held, self._held = self._held, ""
        return held

    def _first_match(self, text: str) -> int | None:
        found = [(text.find(stop) + len(stop), -len(stop)) for stop in self._stops if stop in text]
        if not found:
            return None
        end, negative_length = min(found)
        return end + negative_length

    def _longest_open_end(self, text: str) -> int:
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
