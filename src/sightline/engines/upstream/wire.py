"""What of an upstream's answers is read, and how its event stream is cut into events, many at once.

Source: OpenAI's OpenAPI description; WHATWG HTML, section 9.2.
"""

from __future__ import annotations

import msgspec

from sightline.core import TokenLogprob

_LONGEST_EVENT_BYTES = 1 << 22


class PromptDetails(msgspec.Struct):
    """`usage.prompt_tokens_details`."""

    cached_tokens: int | None = None
    image_tokens: int | None = None


class UsageBody(msgspec.Struct):
    """`usage`."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class TopToken(msgspec.Struct):
    """One of the likely tokens."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class Token(TopToken):
    """The chosen token, and its rivals."""

    top_logprobs: tuple[TopToken, ...] | None = None


class Logprobs(msgspec.Struct):
    """`logprobs` of a choice."""

    content: tuple[Token, ...] | None = None


class Content(msgspec.Struct, frozen=True):
    """`message` or `delta` of a choice."""

    content: str | None = None


class Choice(msgspec.Struct):
    """One choice, of a whole answer or of a chunk."""

    message: Content = Content()
    delta: Content = Content()
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class Answer(msgspec.Struct):
    """A whole answer or a chunk; `error` in a stream ends it."""

    choices: tuple[Choice, ...] = ()
    usage: UsageBody | None = None
    error: msgspec.Raw | None = None


decoder = msgspec.json.Decoder(Answer)


def logprobs_of(choice: Choice) -> tuple[TokenLogprob, ...]:
    """The log-probabilities of a choice as core values."""
    if choice.logprobs is None or not choice.logprobs.content:
        return ()
    return tuple(
        TokenLogprob(token.token, token.logprob, token.bytes, tuple(_top(top) for top in token.top_logprobs or ()))
        for token in choice.logprobs.content
    )


def _top(token: TopToken) -> TokenLogprob:
    return TokenLogprob(token.token, token.logprob, token.bytes)


class EventStream:
    """Cuts bytes as they arrive into the data of events; comments and other fields are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._half = b""  # of a line break in two characters

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that are complete now.

        Raises:
            ValueError: an event is longer than any can be.
        """
        if self._half or b"\r" in data:
            data = self._half + data
            self._half = b"\r" if data.endswith(b"\r") else b""
            data = data.removesuffix(b"\r").replace(b"\r\n", b"\n")
        *events, self._rest = (self._rest + data if self._rest else data).split(b"\n\n")
        if len(self._rest) > _LONGEST_EVENT_BYTES:
            raise ValueError("an event without end")
        return [found for event in events if (found := _data_of(event))]


def _data_of(event: bytes) -> bytes:
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
