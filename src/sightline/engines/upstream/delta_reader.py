"""Makes deltas out of an upstream's answer: of a plain one by `whole`, of a stream by `feed` and `end`."""

from __future__ import annotations

import time
from typing import get_args

from msgspec.structs import replace

from sightline.core import Delta, EngineTimings, FinishReason, Usage
from sightline.engines.upstream.chunks import Choice, EventParser, ToolCalls, UsageBody, decoder, logprobs_of
from sightline.engines.upstream.failures import Failure
from sightline.engines.upstream.usage_bounds import UsageBounds

_CHARACTERS_A_TOKEN = 4
_FINISH_REASONS: dict[str, FinishReason] = {name: name for name in get_args(FinishReason)}


class DeltaReader:
    """Reads one answer. `bounds` are what its usage can be, `sent_at` is when its request went out."""

    def __init__(self, bounds: UsageBounds, sent_at: float) -> None:
        self._bounds = bounds
        self._sent_at = sent_at
        self._first_at: float | None = None
        self._text_pieces = self._call_pieces = 0
        self._calls = ToolCalls()
        self._events = EventParser()
        self._finish_reason: str | None = None
        self._usage: UsageBody | None = None

    def feed(self, data: bytes) -> list[Delta]:
        """Take what has come of a stream; each chunk with something in it is a delta.

        Raises:
            Failure: the server says that it failed, or a usage that cannot be true.
        """
        if self._first_at is None:
            self._first_at = time.monotonic()
        deltas: list[Delta] = []
        for chunk in self._events.feed(data):
            if chunk.error is not None:
                raise Failure("failed")
            self._usage = chunk.usage or self._usage
            for choice in chunk.choices[:1]:
                self._finish_reason = choice.finish_reason or self._finish_reason  # some say "" until the end
                if choice.delta.content or choice.logprobs or choice.delta.tool_calls:
                    # What is said with the reason is the usage of all, which `end` looks at.
                    deltas.append(self._delta(choice, None if choice.finish_reason else chunk.usage))
        return deltas

    def end(self) -> Delta:
        """Return the last delta of a stream that has come to its end.

        Raises:
            Failure: it did not say that it was over; no usage, or one that cannot be true.
        """
        if not self._finish_reason:
            raise Failure("reset")
        return self._finish(Delta("", usage=self._counted()), self._finish_reason)

    def whole(self, body: bytes) -> Delta:
        """Return a plain answer, which is one delta.

        Raises:
            Failure: as `feed` and `end`.
        """
        completion = decoder.decode(body)
        if completion.error is not None:
            raise Failure("failed")
        if len(completion.choices) != 1:
            raise Failure("invalid_response")
        choice, self._usage = completion.choices[0], completion.usage
        text, calls = choice.message.content or "", self._calls.whole(choice.message)
        self._text_pieces = int(bool(text))
        characters = len(text) + sum(len(call.arguments) for call in calls)
        usage = self._bounds.counted(characters // _CHARACTERS_A_TOKEN + 1)
        return self._finish(Delta(text, logprobs_of(choice), None, usage, tool_calls=calls), choice.finish_reason)

    def _delta(self, choice: Choice, reported: UsageBody | None) -> Delta:
        """The next delta, with what was used up to it. Several pieces of calls may come of one token."""
        calls = self._calls.of(choice.delta)
        self._text_pieces += not calls
        self._call_pieces += bool(calls)
        usage = self._bounds.check(reported, self._text_pieces) if reported else self._counted()
        if usage is None:
            raise Failure("invalid_response")
        return Delta(choice.delta.content or "", logprobs_of(choice), None, usage, tool_calls=calls)

    def _counted(self) -> Usage:
        return self._bounds.counted(self._text_pieces + self._call_pieces)

    def _finish(self, last: Delta, finish_reason: str | None) -> Delta:
        """Make `last` the last delta, with the usage of all; by our own count it is the failure's `instead`."""
        reason = _FINISH_REASONS.get(finish_reason or "")
        if reason is None:
            raise Failure("invalid_response")
        first_at = self._first_at or self._sent_at
        timings = EngineTimings(0.0, first_at - self._sent_at, time.monotonic() - first_at)
        last = replace(last, finish_reason=reason, timings=timings)
        usage = self._bounds.check(self._usage, self._text_pieces) if self._usage else None
        if usage is None:
            raise Failure("invalid_response", instead=last)
        return replace(last, usage=usage)
