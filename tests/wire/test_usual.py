"""The quick way to read a body takes nothing that the thorough one does not, and gives the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.core import ChatRequest, EncodedImage, ImageReference
from sightline.errors import InvalidRequest, Problem
from sightline.wire import parse
from sightline.wire.protocol import ChatBody
from sightline.wire.usual import UsualBody, read_usual

numbers = st.sampled_from([0, 1, 2, 8, 9, 20, -2, -3, 1.0, 0.5, 2.5, 1e300, 2**31 - 1, 2**31, -(2**63), 2**63])
scalars = st.none() | st.booleans() | numbers | st.sampled_from(["", "x", "auto", "high", "é\ud800", "null", "text"])
parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url"]) | scalars},
    optional={
        "text": st.text(max_size=3) | scalars,
        "image_url": st.fixed_dictionaries({"url": st.just("data:,x") | scalars}, optional={"detail": scalars}),
        "name": scalars,
    },
)
roles = st.sampled_from(["user", "system", "developer", "assistant", "tool", "function"]) | scalars
messages = st.fixed_dictionaries(
    {"role": roles, "content": st.text(max_size=3) | scalars | st.lists(parts, max_size=3)},
    optional={"name": scalars, "refusal": scalars, "tool_call_id": scalars},
)
bodies = st.fixed_dictionaries(
    {"model": st.just("m") | scalars, "messages": st.lists(messages, max_size=3) | scalars},
    optional={
        **{name: scalars for name in ChatBody.model_fields if name not in ("model", "messages")},
        "stream_options": scalars | st.fixed_dictionaries({}, optional={"include_usage": scalars, "more": scalars}),
        "unknown": scalars,
    },
)


kept = st.fixed_dictionaries(
    {"url": st.just("data:,x")}, optional={"detail": st.sampled_from(["low", "high", "auto", None])}
)
usual_parts = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=3)}) | st.fixed_dictionaries(
    {"type": st.just("image_url"), "image_url": kept}
)
usual_messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "system", "developer", "assistant"]),
        "content": st.text(max_size=3) | st.lists(usual_parts, min_size=1, max_size=3),
    }
)
usual_bodies = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(usual_messages, min_size=1, max_size=3)},
    optional={
        **dict.fromkeys(("max_tokens", "max_completion_tokens"), st.integers(1, 9)),
        **dict.fromkeys(("temperature", "top_p"), st.sampled_from([0, 0.5, 1, 1.0])),
        **dict.fromkeys(("frequency_penalty", "presence_penalty"), st.sampled_from([-2, 0.5, 2])),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "n": st.integers(1, 8),
        "user": st.text(max_size=3),
        "stream": st.booleans(),
    },
)


def opened(reference: ImageReference, _: int) -> EncodedImage:
    data = bytes(reference.payload)
    return EncodedImage(data, reference.head, "", 0, 0, reference.detail, reference.param, "", is_plain=False)


def read(body: bytes) -> ChatRequest | list[Problem]:
    try:
        return parse.parse_chat(body, opened)
    except InvalidRequest as error:
        return list(error.details)


def thoroughly(body: bytes) -> ChatRequest | list[Problem]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse, "read_usual", lambda _: None)
        return read(body)


def with_field(name: str, value: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}], name: value}).encode()


@settings(max_examples=300, derandomize=True, deadline=None)
@given(value=bodies)
def test_what_is_read_quickly_is_what_is_read_thoroughly(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()

    if read_usual(body) is not None:
        assert read(body) == thoroughly(body)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(value=usual_bodies)
def test_what_is_written_as_usual_is_read_quickly(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()

    assert read_usual(body) is not None
    assert read(body) == thoroughly(body)


@pytest.mark.parametrize("name", [name for name in UsualBody.__struct_fields__ if name not in ("model", "messages")])
@settings(max_examples=60, derandomize=True, deadline=None)
@given(value=scalars | st.integers() | st.floats())
def test_every_field_has_the_same_limits(name: str, value: Any) -> None:
    body = with_field(name, value)

    if read_usual(body) is not None:
        assert read(body) == thoroughly(body)


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "max_tokens": 5, "seed": -1},
        {"messages": [{"role": "system", "content": "Be"}, {"role": "user", "content": ""}], "temperature": 1},
        {"messages": [{"role": "user", "content": "Hi"}], "stream": True, "stream_options": {"include_usage": True}},
        {"messages": [{"role": "user", "content": "Hi"}], "top_p": None, "user": "somebody", "n": 2},
    ],
)
def test_a_usual_body_is_read_quickly(value: dict[str, Any]) -> None:
    body = json.dumps({"model": "m", **value}).encode()

    assert read_usual(body) is not None
    assert read(body) == thoroughly(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m", "messages": [{"role": "user", "content": "a\nb"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\xff"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": NaN}',
        b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream_options": {}}',
        b'{"model": "m", "messages": ' + b"[" * 100_000,
    ],
)
def test_whatever_is_odd_is_left_to_the_thorough_way(body: bytes) -> None:
    assert read_usual(body) is None
