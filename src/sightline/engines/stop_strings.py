"""Stop strings in an answer as it grows, for engines that match them on text."""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Finds stop strings in a growing text; holds back an end that may yet become one.

    The stop string that is complete first wins, so the result does not depend on how the text was cut in pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stopped = False
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""

    def feed(self, text: str) -> str:
        """Add text; return what may be sent. Sets `stopped` at a stop string; nothing is to be added after it."""
        text = self._held + text
        found = [(text.find(stop) + len(stop), -len(stop)) for stop in self._stops if stop in text]
        if found:
            end, negative_length = min(found)
            self.stopped, self._held = True, ""
            return text[: end + negative_length]
        certain = len(text) - self._longest_open_end(text)
        self._held = text[certain:]
        return text[:certain]

    def flush(self) -> str:
        """Return the held text when no more comes: it was no stop string after all."""
        held, self._held = self._held, ""
        return held

    def _longest_open_end(self, text: str) -> int:
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
