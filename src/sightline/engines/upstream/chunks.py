"""What of an upstream's answers is read, and how chunks are read out of its event stream.

Source: OpenAI's OpenAPI description; WHATWG HTML, section 9.2.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec

from sightline.core import TokenLogprob, ToolCall

_LONGEST_EVENT_BYTES = 1 << 22
_DONE = b"[DONE]"


class PromptDetails(msgspec.Struct, gc=False):
    """`usage.prompt_tokens_details`."""

    cached_tokens: int | None = None
    image_tokens: int | None = None


class UsageBody(msgspec.Struct, gc=False):
    """`usage`."""

    prompt_tokens: int = -1  # not said, which cannot be true
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class Token(msgspec.Struct, gc=False):
    """The chosen token with its rivals, or one of these."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: tuple[Token, ...] | None = None


class Logprobs(msgspec.Struct, gc=False):
    """`logprobs` of a choice."""

    content: tuple[Token, ...] | None = None


class CalledFunction(msgspec.Struct, frozen=True, gc=False):
    """`function` of a call, or a piece of it."""

    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct, frozen=True, gc=False):
    """A call of a tool, or a piece of one; see `ToolCalls`."""

    index: Annotated[int, msgspec.Meta(ge=0)] | None = None
    id: str | None = None
    function: CalledFunction | None = None


class Content(msgspec.Struct, frozen=True, gc=False):
    """`message` or `delta` of a choice."""

    content: str | None = None
    tool_calls: tuple[Call, ...] | None = None


class Choice(msgspec.Struct, gc=False):
    """One choice, of a whole answer or of a chunk."""

    message: Content = Content()
    delta: Content = Content()
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct, gc=False):
    """A whole completion or a chunk of one; `error` in a stream ends it."""

    choices: tuple[Choice, ...] = ()
    usage: UsageBody | None = None
    error: Any = None  # of `Raw | None` msgspec takes only null


decoder = msgspec.json.Decoder(Completion)


def logprobs_of(choice: Choice) -> tuple[TokenLogprob, ...]:
    """The log-probabilities of a choice as core values."""
    return tuple(map(_logprob, choice.logprobs.content or ())) if choice.logprobs else ()


def _logprob(token: Token) -> TokenLogprob:
    return TokenLogprob(token.token, token.logprob, token.bytes, tuple(map(_logprob, token.top_logprobs or ())))


class ToolCalls:
    """Numbers and names the calls of one answer as OpenAI's clients rely on.

    Servers may number them all 0 or not at all, leave out the id, or say id and name again with each piece, which
    clients put behind one another.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._named: set[int] = set()
        self._places: dict[int, int] = {}
        """Of each of the server's numbers, which call it means now."""

    def of(self, content: Content) -> tuple[ToolCall, ...]:
        """The pieces of calls in a chunk."""
        return tuple([self._piece(call) for call in content.tool_calls]) if content.tool_calls else ()

    def whole(self, content: Content) -> tuple[ToolCall, ...]:
        """The calls of a plain answer, which stand in their order."""
        return tuple([self._begun(at, call) for at, call in enumerate(content.tool_calls or ())])

    def _piece(self, call: Call) -> ToolCall:
        theirs = call.index or 0
        ours = self._places.get(theirs)
        is_other = ours is not None and bool(call.id) and call.id != self._ids[ours]
        if ours is None or is_other or (call.index is None and call.function is not None and call.function.name):
            return self._begun(theirs, call)
        function = call.function or CalledFunction()
        name = None if ours in self._named else function.name
        if name:
            self._named.add(ours)
        return ToolCall(ours, None, name, function.arguments or "")

    def _begun(self, theirs: int, call: Call) -> ToolCall:
        ours = self._places[theirs] = len(self._ids)
        self._ids.append(call.id or f"call_{secrets.token_hex(12)}")
        function = call.function or CalledFunction()
        if function.name:
            self._named.add(ours)
        return ToolCall(ours, self._ids[ours], function.name, function.arguments or "")


class EventParser:
    """Reads a stream of chunks as it arrives, cut anywhere; comments and other fields are dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Completion]:
        """Return the chunks that are complete now.

        Raises:
            ValueError: an event is longer than any can be, or no chunk.
        """
        events, _, self._rest = (self._rest + data).replace(b"\r\n", b"\n").rpartition(b"\n\n")
        if len(self._rest) > _LONGEST_EVENT_BYTES:
            raise ValueError("an event without end")
        bodies = [_data_of(event) for event in events.split(b"\n\n")]
        return [decoder.decode(body) for body in bodies if body and body != _DONE]


def _data_of(event: bytes) -> bytes:
    return b"\n".join([line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")])
