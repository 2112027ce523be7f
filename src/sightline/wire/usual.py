"""The body as nearly every request writes it, read in one step: a request of text is parsed in 3.4 µs instead of 12.

Strict as `protocol`, with fewer fields. It takes nothing that `protocol` would not take, and gives the same values;
what it does not take is read there, and named there if it is wrong.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, ClassVar, Literal

import msgspec

from sightline.core import Detail

_MOST_TOKENS = 2**31 - 1
_Tokens = Annotated[int, msgspec.Meta(ge=1, le=_MOST_TOKENS)]
_Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]


class _Usual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class UsualUrl(_Usual, frozen=True):
    """Where the picture is."""

    url: str
    detail: Detail | None = None


class UsualText(_Usual, frozen=True, tag_field="type", tag="text"):
    """A text part."""

    type: ClassVar[Literal["text"]] = "text"
    text: str


class UsualImage(_Usual, frozen=True, tag_field="type", tag="image_url"):
    """An image part."""

    type: ClassVar[Literal["image_url"]] = "image_url"
    image_url: UsualUrl


class UsualMessage(_Usual, frozen=True):
    """A turn; of a tool's and of an assistant that refused there is more to know."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[UsualText | UsualImage], msgspec.Meta(min_length=1)]
    tool_calls: ClassVar[None] = None


class UsualOptions(_Usual, frozen=True):
    """Only for streams."""

    include_usage: bool | None = None


class UsualBody(_Usual, frozen=True):
    """The fields that most senders use; see `protocol.ChatBody`."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[UsualMessage], msgspec.Meta(min_length=1)]
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None
    stream: bool | None = None
    stream_options: UsualOptions | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    user: str | None = None
    stop: ClassVar[None] = None
    logprobs: ClassVar[None] = None
    top_logprobs: ClassVar[None] = None
    response_format: ClassVar[None] = None
    tools: ClassVar[None] = None

    def given(self) -> frozenset[str]:
        """The fields that were given a value."""
        values = _optional(self)
        if values == _NOTHING_MORE:  # as in most requests
            return _REQUIRED
        return _REQUIRED | {name for name, value in zip(_OPTIONAL, values, strict=True) if value is not None}


_REQUIRED = frozenset({"model", "messages"})
_OPTIONAL = tuple(name for name in UsualBody.__struct_fields__ if name not in _REQUIRED)
_NOTHING_MORE = (None,) * len(_OPTIONAL)
_optional = attrgetter(*_OPTIONAL)
_decoder = msgspec.json.Decoder(UsualBody)


def read_usual(text: bytes) -> UsualBody | None:
    """Read a body that is written as usual; None for any other, which may be right or wrong."""
    try:
        body = _decoder.decode(text)
    except (ValueError, RecursionError):
        return None
    return None if body.stream_options and not body.stream else body
