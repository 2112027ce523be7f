"""Watches deltas on their way out and adds up what they used.

Prompt tokens are counted once however many answers were asked for; completion tokens add up.
"""

from __future__ import annotations

from collections.abc import Sequence

from sightline.core import Delta, EngineTimings, Usage
from sightline.errors import EngineError


class Meter:
    """Counts one request. `image_tokens` is what the receipt promised."""

    def __init__(self, image_tokens: int) -> None:
        self._image_tokens = image_tokens
        self._usages: dict[int, Usage] = {}
        self.timings = EngineTimings(0.0, 0.0, 0.0)

    def count(self, deltas: Sequence[Delta], choice: int = 0) -> None:
        """Take note of deltas of answer number `choice`; each carries what that answer has used so far.

        Raises:
            EngineError: the engine counted other image tokens than the receipt: it lost or invented an image.
        """
        for delta in deltas:
            if delta.timings is not None:
                self.timings = delta.timings
            usage = delta.usage
            if usage is None:
                continue
            if usage.image_tokens != self._image_tokens:
                raise EngineError(
                    f"The engine saw {usage.image_tokens} image tokens instead of {self._image_tokens}. "
                    "The answer was withheld and nothing was charged."
                )
            self._usages[choice] = usage

    def usage(self) -> Usage:
        """What all answers of the request have used together so far."""
        if not self._usages:
            return Usage(0, 0)
        first = next(iter(self._usages.values()))
        completion_tokens = sum(usage.completion_tokens for usage in self._usages.values())
        return Usage(first.prompt_tokens, completion_tokens, first.image_tokens, first.cached_tokens)
