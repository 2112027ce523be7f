"""Everything that crosses the boundary between the service and an engine's process, as msgpack.

Pixels do not go through msgpack: a `Generate` is followed by the RGB rows of its images, one after the other.
"""

from __future__ import annotations

import msgspec

from sightline import errors
from sightline.core import Delta, GenerateRequest, Message, ModelInfo, SamplingParams, Usage
from sightline.errors import EngineError, InvalidRequest, Problem, ServiceError


class Generate(msgspec.Struct, tag=True, frozen=True):
    """Answer a request, or only count its prompt. `number` names it on this connection.

    `sizes` are (views, height, width), one an image.
    """

    number: int
    request_id: str
    model: str
    messages: tuple[Message, ...]
    sampling: SamplingParams
    sizes: tuple[tuple[int, int, int], ...]
    image_tokens: int
    stream: bool
    only_count: bool = False
    owner: str = ""
    lines: bool = False


class Cancel(msgspec.Struct, tag=True, frozen=True):
    """Nobody waits for this answer any more."""

    number: int


class Ready(msgspec.Struct, tag=True, frozen=True):
    """The engine has answered its warm-up request."""

    models: tuple[ModelInfo, ...]


class Refused(msgspec.Struct, tag=True, frozen=True):
    """The engine cannot be started; trying again with the same settings would fail again."""

    message: str


class Piece(msgspec.Struct, tag=True, frozen=True):
    """The next piece of an answer."""

    number: int
    delta: Delta


class Counted(msgspec.Struct, tag=True, frozen=True):
    """The count that a `Generate` with `only_count` asked for."""

    number: int
    usage: Usage


class Failed(msgspec.Struct, tag=True, frozen=True):
    """An answer that ended in an error; `error` is the name of a class of `sightline.errors`."""

    number: int
    error: str
    message: str
    param: str | None = None
    code: str | None = None
    details: tuple[Problem, ...] = ()
    retry_after_s: float | None = None


ToChild = Generate | Cancel
ToParent = Ready | Refused | Piece | Counted | Failed

encoder = msgspec.msgpack.Encoder()
to_child = msgspec.msgpack.Decoder(ToChild)
to_parent = msgspec.msgpack.Decoder(ToParent)


def pack_request(number: int, request: GenerateRequest, *, only_count: bool = False) -> Generate:
    """Pack a request for the other side, but for its pixels, which follow it as they are."""
    return Generate(
        number=number,
        request_id=request.request_id,
        model=request.model,
        messages=request.messages,
        sampling=request.sampling,
        sizes=tuple([(image.shape[0], image.shape[1], image.shape[2]) for image in request.images]),
        image_tokens=request.image_tokens,
        stream=request.stream,
        only_count=only_count,
        owner=request.owner,
        lines=request.lines,
    )


def failed(number: int, error: ServiceError) -> Failed:
    """Pack an error for the other side."""
    details = error.details if isinstance(error, InvalidRequest) else ()
    return Failed(number, type(error).__name__, error.message, error.param, error.code, details, error.retry_after_s)


def unpack(failure: Failed) -> ServiceError:
    """Rebuild the error that the engine raised; a class unknown here becomes a plain `EngineError`."""
    kind = getattr(errors, failure.error, EngineError)
    if not (isinstance(kind, type) and issubclass(kind, ServiceError)):
        kind = EngineError
    if issubclass(kind, InvalidRequest):
        return kind(failure.message, param=failure.param, code=failure.code, details=failure.details)
    error = kind(failure.message, param=failure.param)
    error.retry_after_s = failure.retry_after_s
    return error
