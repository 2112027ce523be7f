"""Makes deltas out of an upstream's answer: of a plain one by `whole`, of a stream by `feed` and `end`."""

from __future__ import annotations

import time
from typing import get_args

from msgspec.structs import replace

from sightline.core import Delta, EngineTimings, FinishReason, ToolCall, Usage
from sightline.engines.upstream.chunks import Choice, EventParser, ToolCalls, UsageBody, decoder, logprobs_of
from sightline.engines.upstream.failures import Failure
from sightline.engines.upstream.usage_bounds import ImagesLost, UsageBounds

_CHARACTERS_A_TOKEN = 4
_FINISH_REASONS: dict[str, FinishReason] = {name: name for name in get_args(FinishReason)}


class DeltaReader:
    """Reads one answer. `bounds` are what its usage can be, `sent_at` is when its request went out."""

    def __init__(self, bounds: UsageBounds, sent_at: float) -> None:
        self._bounds = bounds
        self._sent_at = self._first_at = sent_at
        self._text_pieces = self._call_pieces = 0
        self._calls = ToolCalls()
        self._events = EventParser()
        self._last: Choice | None = None
        self._usage: UsageBody | None = None
        self._has_begun = False

    def feed(self, data: bytes) -> list[Delta]:
        """Take what has come of a stream; each chunk is a delta. The last waits for the usage that comes after it.

        Raises:
            Failure: the server says that it failed.
        """
        if not self._has_begun:
            self._has_begun, self._first_at = True, time.monotonic()
        deltas: list[Delta] = []
        for chunk in self._events.feed(data):
            if chunk.usage is not None:
                self._usage = chunk.usage
            if chunk.error is not None:
                raise Failure("failed")
            if not chunk.choices:
                continue
            choice, held = chunk.choices[0], self._last
            if held is not None and _has_content(held):  # it was not the last after all
                deltas.append(self._delta(held, None))
                self._last = Choice(finish_reason=held.finish_reason)
            if choice.finish_reason:  # some say "" until the end
                self._last = choice
            elif _has_content(choice):
                deltas.append(self._delta(choice, chunk.usage))
        return deltas

    def end(self) -> Delta:
        """Return the last delta of a stream that has come to its end.

        Raises:
            Failure: it did not say that it was over; no usage, or one that cannot be true.
        """
        if self._last is None:
            raise Failure("reset")
        self._text_pieces += bool(self._last.delta.content)
        self._call_pieces += bool(self._last.delta.tool_calls)
        calls = self._calls.of(self._last.delta)
        return self._finish(self._last.delta.content, calls, self._last, self._usage)

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
        choice = completion.choices[0]
        self._text_pieces = int(bool(choice.message.content))
        calls = self._calls.whole(choice.message)
        try:
            return self._finish(choice.message.content, calls, choice, completion.usage)
        except Failure as failure:
            if failure.instead is not None:
                texts = (failure.instead.text, *(call.arguments for call in calls))
                usage = self._bounds.counted(sum(map(len, texts)) // _CHARACTERS_A_TOKEN + 1)
                failure.instead = replace(failure.instead, usage=usage)
            raise

    def _delta(self, choice: Choice, reported: UsageBody | None) -> Delta:
        """The next delta, with what was used up to it. Several pieces of calls may come of one token."""
        calls = self._calls.of(choice.delta)
        self._text_pieces += not calls
        self._call_pieces += bool(calls)
        usage = self._bounds.check(reported, self._text_pieces) if reported else self._counted()
        return Delta(choice.delta.content or "", logprobs_of(choice), None, usage, tool_calls=calls)

    def _counted(self) -> Usage:
        return self._bounds.counted(self._text_pieces + self._call_pieces)

    def _finish(
        self, text: str | None, calls: tuple[ToolCall, ...], choice: Choice, reported: UsageBody | None
    ) -> Delta:
        """The last delta, with the usage of all.

        Raises:
            Failure: no usage, or one that cannot be true.
        """
        reason = _FINISH_REASONS.get(choice.finish_reason or "")
        if reason is None:
            raise Failure("invalid_response")
        timings = EngineTimings(0.0, self._first_at - self._sent_at, time.monotonic() - self._first_at)
        last = Delta(text or "", logprobs_of(choice), reason, self._counted(), timings, calls)
        if reported is None:
            raise Failure("invalid_response", instead=last)
        try:
            return replace(last, usage=self._bounds.check(reported, self._text_pieces))
        except ImagesLost:
            raise
        except Failure as failure:
            failure.instead = last
            raise


def _has_content(choice: Choice) -> bool:
    return bool(choice.delta.content or choice.logprobs or choice.delta.tool_calls)
