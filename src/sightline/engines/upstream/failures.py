"""How an upstream fails a request, and what its caller is told: words of ours, never the upstream's.

Of its own words only a field's name is passed on, and only where it can be nothing else.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

import msgspec

from sightline.core import Delta
from sightline.errors import (
    ContextLengthExceeded,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    ServiceError,
    UnsupportedParameter,
)

Reason = Literal["connect_error", "timeout", "idle_timeout", "reset", "failed", "invalid_response", "overloaded"]
"""No connection; silence; silence about one request; a broken connection; a 5xx; what cannot be true; no room."""


class Failure(Exception):
    """An upstream failed; another may do better. `error` is what the caller is told if none does.

    Where only its account of what it used is wrong, `instead` is the last piece with ours.
    """

    def __init__(self, reason: Reason, error: ServiceError | None = None, instead: Delta | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.instead = instead
        self.error = error or EngineUnavailable(_MESSAGES[reason], retry_after_s=1)


class KeyRefused(Failure):
    """An upstream refuses our key: nothing a caller can mend."""


_MESSAGES: dict[Reason, str] = {
    "connect_error": "The model's server cannot be reached. Send the request again in a moment; nothing was charged.",
    "timeout": "The model's server does not answer. Send the request again in a moment; nothing was charged.",
    "idle_timeout": "The model's server gave no more of this answer. Send the request again; nothing was charged.",
    "reset": "The model's server broke off its answer. Send the request again; nothing was charged.",
    "failed": "The model's server failed on this request. Send it again in a moment; nothing was charged.",
    "invalid_response": "The model's server gave an answer that cannot be right; "
    "the rest is withheld, and nothing was charged.",
    "overloaded": "The model's server has no room at this moment. "
    "Send the request again in a moment; nothing was charged.",
}


class _ErrorBody(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None
    param: Any = None


class _Refusal(_ErrorBody):
    """OpenAI's shape has its error inside, older servers have it bare."""

    error: _ErrorBody | None = None


class _Details(NamedTuple):
    """A refusal's code, its text in lower case, and the field that it is about."""

    code: str = ""
    text: str = ""
    param: str | None = None


_FIELD = re.compile(r"(?!messages|max_)[a-z_]{1,40}(\.[a-z_]{1,40}){0,12}")
"""As `response_format.json_schema.schema`. Of messages parts may be others there, and a limit may have another name."""
_refusal = msgspec.json.Decoder(_Refusal)


def of_status(status: int, body: bytes) -> Failure | ServiceError:
    """Say what a refusal means; `body` is only searched for what it is about."""
    if status in (429, 503):
        return Failure("overloaded", EngineOverloaded(_MESSAGES["overloaded"], retry_after_s=1))
    if status >= 500 or status in (408, 409, 425):
        return Failure("failed", EngineError(_MESSAGES["failed"]))
    if status in (401, 402, 403, 404) or status < 400:
        return Failure("failed", EngineUnavailable(_MESSAGES["failed"], retry_after_s=5))
    return _of_request(status, body)


def _of_request(status: int, body: bytes) -> ServiceError:
    code, text, param = _read(body)
    if code == "context_length_exceeded" or "context length" in text or "maximum model length" in text:
        return ContextLengthExceeded(
            "The prompt and the longest answer that was asked for are longer than the model's context; send less text, "
            "fewer pictures, or ask for a shorter answer.",
            param="messages",
        )
    if status == 413:
        return InvalidRequest("The request is larger than the model's server takes; send smaller pictures.")
    if code == "unsupported_parameter":
        lacking = f"does not support {param}" if param else "does not support a parameter of the request"
        return UnsupportedParameter(f"The model's server {lacking}; leave it out.", param=param)
    if param:
        message = f"The model's server does not take {param} as it is. Change it; sending it again will not help."
        return InvalidRequest(message, param=param)
    return InvalidRequest(
        "The model's server does not take this request: a picture that does not decode, an order of messages or a "
        "parameter that the model lacks. Change it; sending it again will not help."
    )


def _read(body: bytes) -> _Details:
    try:
        refusal = _refusal.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _Details()
    found = refusal.error or refusal
    is_field = isinstance(found.param, str) and _FIELD.fullmatch(found.param) is not None
    return _Details(str(found.code or ""), (found.message or "").lower(), found.param if is_field else None)
