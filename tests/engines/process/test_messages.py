"""What crosses the boundary of an engine's process comes out as it went in."""

from __future__ import annotations

import inspect

import pytest

from sightline import errors
from sightline.core import (
    Delta,
    EngineTimings,
    ImageEncoding,
    ImagePart,
    Message,
    ModelInfo,
    ResponseFormat,
    SamplingParams,
    TextPart,
    TokenLogprob,
    Usage,
)
from sightline.engines.process.messages import (
    Cancel,
    Counted,
    Failed,
    Generate,
    Piece,
    Ready,
    Refused,
    ToChild,
    ToParent,
    encoder,
    failed,
    to_child,
    to_parent,
    unpack,
)
from sightline.errors import EngineError, InvalidRequest, Problem, ServiceError

SCHEMA = ResponseFormat("json_schema", "{}")
SAMPLING = SamplingParams(5, 0.5, 0.9, -(2**63), ("a", "b"), 1, -1, True, 3, SCHEMA, "max_completion_tokens")
MESSAGES = (Message("user", (TextPart("é\x00<eos>"), ImagePart(0))), Message("system", ()))
MODEL = ModelInfo("a/b", "me", 1, 2, "d", ImageEncoding("page", 9), 2, frozenset({"seed", "stop"}))
LOGPROB = TokenLogprob("é", -1.5, (195, 169), (TokenLogprob("e", -2.0),))


@pytest.mark.parametrize("message", [Generate(1, "req", "m", MESSAGES, SAMPLING, ((1, 2, 3),), 16, True), Cancel(7)])
def test_what_the_child_gets_is_what_was_sent(message: ToChild) -> None:
    assert to_child.decode(encoder.encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        Ready((MODEL,)),
        Refused("no"),
        Piece(3, Delta("é", (LOGPROB,), "stop", Usage(1, 2, 3, 4), EngineTimings(1.0, 2.0, 3.0))),
        Counted(4, Usage(1, 0)),
        Failed(5, "EngineError", "m", "p", "c", (Problem("a", "b", "c"),)),
    ],
)
def test_what_the_parent_gets_is_what_was_sent(message: ToParent) -> None:
    assert to_parent.decode(encoder.encode(message)) == message


ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ServiceError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_the_same_on_the_other_side(kind: type[ServiceError]) -> None:
    more = {"code": "special", "details": (Problem("a", "b"),)} if issubclass(kind, InvalidRequest) else {}
    error = kind("what was wrong", param="p", **more)

    again = unpack(to_parent.decode(encoder.encode(failed(1, error))))  # type: ignore[arg-type]

    assert type(again) is kind
    assert (again.message, again.param, again.code, again.status) == (error.message, "p", error.code, error.status)
    if isinstance(again, InvalidRequest):
        assert again.details == (Problem("a", "b"),)


@pytest.mark.parametrize("name", ["NoSuchError", "Problem", "ConfigError", "Sequence", "dataclass", "__name__"])
def test_unknown_error_is_an_engine_error(name: str) -> None:
    again = unpack(Failed(1, name, "what was wrong"))

    assert type(again) is EngineError
    assert again.message == "what was wrong"


def test_when_to_come_back_crosses_with_the_error() -> None:
    assert unpack(failed(1, errors.EngineOverloaded("full", retry_after_s=7))).retry_after_s == 7
