"""Base64 is cut out of a body before it is parsed: whatever the body, that changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.core import ChatRequest, EncodedImage, ImageReference
from sightline.errors import ImageError, InvalidRequest
from sightline.wire import parse
from sightline.wire.parse import parse_chat
from support.bodies import image, raw
from support.pictures import data_uri, picture

LONG = "QUJD" * 100
PNG = data_uri(picture("png", 64, 64) + bytes(300))


def uncut(body: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(parse, "_SHORTEST_CUT", 10**9)
        return outcome(body)


def outcome(body: bytes) -> Any:
    """What parsing gives, comparable: the request, or every problem. Images are opened as they came."""

    def keep(reference: ImageReference, number: int) -> EncodedImage:
        if not reference.head.endswith(";base64,"):
            raise ImageError("bad head", param=reference.param)
        data = reference.head.encode() + bytes(reference.payload)
        return EncodedImage(data, "", "", 0, 0, reference.detail, reference.param, "", False)

    try:
        return parse_chat(body, keep)
    except InvalidRequest as error:
        return (error.message, error.param, error.code, error.details)


@pytest.mark.parametrize(
    "body",
    [
        raw(image(), "a"),
        raw({"type": "image_url", "image_url": {"url": PNG}}, {"type": "image_url", "image_url": {"url": PNG}}),
        raw(f'look: "url": "{PNG}"'),
        raw(f'{{"url": "{PNG}"}}', {"type": "image_url", "image_url": {"url": PNG}}),
        raw("a", metadata={"url": PNG}),
        raw({"type": "image_url", "image_url": {"url": PNG}}, metadata={"url": PNG}),
        raw({"type": "image_url", "image_url": {"url": f"data:x,y;base64,{LONG}"}}),
        raw({"type": "image_url", "image_url": {"url": f"{PNG};base64,{LONG}"}}),
        raw({"type": "image_url", "image_url": {"url": PNG.replace("base64", "BASE64")}}),
        raw({"type": "image_url", "image_url": {"url": PNG}}).replace(b'"url": "', b'"url" \n\t :\r\n  "'),
        raw({"type": "image_url", "image_url": {"url": PNG.replace("/", "\\/")}}),
        raw({"type": "image_url", "image_url": {"url": PNG}}).replace(b"QUJD", rb"QUJ\u0044"),
        raw({"type": "image_url", "image_url": {"url": PNG}}).replace(b'"url"', rb'"\u0075rl"'),
        raw({"type": "image_url", "image_url": {"url": PNG, "detail": "best"}}),
        raw({"type": {"url": PNG}}),
        raw({"type": "text", "text": {"url": PNG}}),
        raw({"type": "image_url", "image_url": {"url": PNG, "detail": {"url": PNG}}}),
        raw("a", service_tier={"url": PNG}, stop=[{"url": PNG}], tools={"url": PNG}),
        raw("a", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"url": PNG}}}),
        raw({"type": "image_url", "image_url": {"url": PNG}})[:-30],
        raw({"type": "image_url", "image_url": {"url": PNG}})[:200],
        b'{"url": "' + PNG.encode() + b'"}',
        b'"url": "' + PNG.encode() + b'"',
        b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": '
        b'{"url": "%s", "url": "%s"}}]}]}' % (PNG.encode(), data_uri(picture("gif")).encode()),
        b'{"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": '
        b'{"my\\"url": "%s", "url": "%s"}}]}]}' % (PNG.encode(), PNG.encode()),
    ],
)
def test_cutting_base64_out_changes_nothing(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(body) == uncut(body, monkeypatch)


def test_cutting_is_given_up_in_a_text_made_of_beginnings() -> None:
    """To look around a hundred thousand of them would take a twentieth of a second."""
    begins = "see data:image/png;base64, "
    few, many = (raw(*[begins] * times, {"type": "image_url", "image_url": {"url": PNG}}) for times in (10, 100))

    assert [len(parse._cut(body, "nonce")[1]) for body in (few, many)] == [1, 0]
    assert isinstance(outcome(many), ChatRequest)


URIS = st.sampled_from([PNG, PNG + '"', "data:a,b;base64," + LONG, LONG, ";base64," + LONG, "x" * 90 + PNG])
STRINGS = st.one_of(
    URIS,
    st.text(max_size=5),
    URIS.map(lambda uri: f'"url": "{uri}"'),
    URIS.map(lambda uri: json.dumps({"url": uri})),
    URIS.map(lambda uri: json.dumps(json.dumps({"url": uri}))),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), STRINGS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["url", "image_url", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
IMAGES = st.fixed_dictionaries(
    {
        "type": st.just("image_url"),
        "image_url": st.fixed_dictionaries({"url": STRINGS | VALUES}, optional={"url2": VALUES}),
    }
)
PARTS = st.one_of(
    IMAGES,
    st.fixed_dictionaries({"type": st.just("text"), "text": STRINGS}),
    st.fixed_dictionaries({"type": STRINGS, "url": STRINGS}),
    VALUES,
)
BODIES = st.builds(
    lambda parts, more: {"model": "m", "messages": [{"role": "user", "content": parts}], **more},
    st.lists(PARTS, max_size=4),
    st.dictionaries(st.sampled_from(["metadata", "user", "url", "stop", "tools"]), VALUES, max_size=2),
)


@given(BODIES, st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: \n")]), st.booleans(), st.integers(-40, 0))
@example({"model": "m", "messages": [{"role": "user", "content": [{"type": {"url": PNG}}]}]}, (",", ":"), True, 0)
def test_cutting_changes_nothing_whatever_the_body(
    body: Any, separators: tuple[str, str], ascii_only: bool, end: int
) -> None:
    sent = json.dumps(body, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    sent = sent[: end or None] if end else sent

    with pytest.MonkeyPatch.context() as monkeypatch:
        assert outcome(sent) == uncut(sent, monkeypatch)


@given(st.binary(max_size=300) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_are_more_than_a_refusal(body: bytes) -> None:
    result = outcome(body)

    assert isinstance(result, ChatRequest | tuple)
