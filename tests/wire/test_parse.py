"""Bytes of a body to a `ChatRequest`: what is taken, what is refused and where, and that cutting changes nothing."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

import pytest

from sightline.core import ChatRequest, ImagePart, ResponseFormat, TextPart
from sightline.errors import InvalidRequest
from sightline.images.source import open_image
from sightline.settings import ImageLimits
from sightline.wire.parse import parse_chat
from support.bodies import chat, image, raw, text
from support.pictures import data_uri, picture

OPEN = partial(open_image, limits=ImageLimits(max_images=8))


def parsed(body: Any) -> ChatRequest:
    return parse_chat(body if isinstance(body, bytes) else json.dumps(body).encode(), OPEN)


def refused(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parsed(body)
    return caught.value


def test_parts_keep_their_order_over_all_messages() -> None:
    body = chat("a", image(), "b", image())
    body["messages"] += [{"role": "assistant", "content": "c"}, {"role": "user", "content": [image(), text("d")]}]

    request = parsed(body)

    assert [message.role for message in request.messages] == ["user", "assistant", "user"]
    assert request.messages[0].parts == (TextPart("a"), ImagePart(0), TextPart("b"), ImagePart(1))
    assert request.messages[2].parts == (ImagePart(2), TextPart("d"))
    assert len(request.images) == 3


def test_every_role_and_a_plain_string_are_taken() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": [text("d")], "name": "x"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "a", "refusal": None},
        {"role": "tool", "content": "t", "tool_call_id": "1"},
    ]

    request = parsed({"model": "m", "messages": messages})

    assert [message.parts for message in request.messages] == [(TextPart(letter),) for letter in "sduat"]


def test_sampling_takes_every_value_and_null_is_absent() -> None:
    more = {
        "max_tokens": 5,
        "max_completion_tokens": 7,
        "temperature": 0,
        "top_p": 0.5,
        "seed": -3,
        "stop": ["x", "y"],
        "frequency_penalty": -2,
        "presence_penalty": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "user": None,
        "tools": None,
    }

    request = parsed(chat("a", **more))

    sampling = request.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.seed) == (7, 0, 0.5, -3)
    assert (sampling.stop, sampling.logprobs, sampling.top_logprobs) == (("x", "y"), True, 3)
    assert (sampling.frequency_penalty, sampling.presence_penalty) == (-2, 2)
    assert request.params_sent == {*more, "model", "messages"} - {"user", "tools"}


def test_defaults_are_those_of_openai() -> None:
    request = parsed(chat("a", stop="end", response_format={"type": "json_object"}))

    assert (request.n, request.stream, request.include_usage) == (1, False, False)
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.max_tokens) == (1, 1, None)
    assert request.sampling.stop == ("end",)
    assert request.sampling.response_format == ResponseFormat("json_object")


def test_schema_is_handed_on_as_text() -> None:
    schema = {"type": "object", "properties": {"größe": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}

    request = parsed(chat("a", response_format=form))

    assert request.sampling.response_format.type == "json_schema"
    assert json.loads(request.sampling.response_format.schema or "") == schema


def test_stream_and_number_of_answers_are_taken() -> None:
    request = parsed(chat("a", stream=True, stream_options={"include_usage": True}, n=2))

    assert (request.n, request.stream, request.include_usage) == (2, True, True)


@pytest.mark.parametrize("detail", ["auto", "low", "high", None])
def test_detail_goes_with_its_image(detail: str | None) -> None:
    request = parsed(chat(image(detail=detail)))

    assert request.images[0].detail == (detail or "auto")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"messages": [{"role": "user", "content": "a"}]}, "missing_required_parameter", "model"),
        (chat("a", model=""), "invalid_value", "model"),
        (chat("a", model=None), "invalid_type", "model"),
        ({"model": "m", "messages": []}, "invalid_value", "messages"),
        ({"model": "m", "messages": {}}, "invalid_type", "messages"),
        ({"model": "m", "messages": ["a"]}, "invalid_type", "messages.[0]"),
        ({"model": "m", "messages": [{"content": "a"}]}, "missing_required_parameter", "messages.[0].role"),
        ({"model": "m", "messages": [{"role": "bot", "content": "a"}]}, "invalid_value", "messages.[0].role"),
        ({"model": "m", "messages": [{"role": "user"}]}, "missing_required_parameter", "messages.[0].content"),
        (
            {"model": "m", "messages": [{"role": "user", "content": None}]},
            "invalid_type",
            "messages.[0].content",
        ),
        (chat("a", 5), "invalid_type", "messages.[0].content.[1]"),  # type: ignore[arg-type]
        (chat({"type": "text"}), "missing_required_parameter", "messages.[0].content.[0].text"),
        (chat({"type": "text", "text": 1}), "invalid_type", "messages.[0].content.[0].text"),
        (chat({"text": "a"}), "missing_required_parameter", "messages.[0].content.[0].type"),
        (
            chat({"type": "image_url", "image_url": {}}),
            "missing_required_parameter",
            "messages.[0].content.[0].image_url.url",
        ),
        (chat(image(detail="best")), "invalid_value", "messages.[0].content.[0].image_url.detail"),
        (chat("a", max_tokens=0), "invalid_value", "max_tokens"),
        (chat("a", max_tokens=1.5), "invalid_type", "max_tokens"),
        (chat("a", max_tokens=True), "invalid_type", "max_tokens"),
        (chat("a", max_tokens=10**30), "invalid_value", "max_tokens"),
        (chat("a", top_p=-0.1), "invalid_value", "top_p"),
        (chat("a", seed=2**63), "invalid_value", "seed"),
        (chat("a", stop=[]), "invalid_value", "stop"),
        (chat("a", stop=["a", ""]), "invalid_value", "stop.[1]"),
        (chat("a", stop=list("abcde")), "invalid_value", "stop"),
        (chat("a", stream="yes"), "invalid_type", "stream"),
        (chat("a", stream_options={"include_usage": True}), "invalid_value", "stream_options"),
        (chat("a", top_logprobs=1), "invalid_value", "top_logprobs"),
        (chat("a", response_format={"type": "xml"}), "invalid_value", "response_format.type"),
        (
            chat("a", response_format={"type": "json_schema", "json_schema": {"name": "x"}}),
            "missing_required_parameter",
            "response_format.json_schema.schema",
        ),
        (
            chat("a", response_format={"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}),
            "invalid_value",
            "response_format.json_schema.name",
        ),
        (chat("a", metadata={"a": 1}), "invalid_type", "metadata.a"),
        (chat("a", metadata={str(at): "" for at in range(17)}), "invalid_value", "metadata"),
        (chat("a", modalities=["text", "audio"]), "unsupported_parameter", "modalities"),
        (chat("a", logit_bias={"1": 2}), "unsupported_parameter", "logit_bias"),
        (chat("a", function_call="auto"), "unsupported_parameter", "function_call"),
    ],
)
def test_wrong_request_is_refused_and_named(body: Any, code: str, param: str) -> None:
    error = refused(body)

    assert (error.code, error.param) == (code, param)
    assert param.rpartition(".")[2] in error.message or param in error.message


def test_all_problems_are_named_at_once() -> None:
    error = refused(chat("a", image(b"nothing"), temperature=9, banana=1, logit_bias={}))

    assert {(problem.param, problem.code) for problem in error.details} == {
        ("temperature", "invalid_value"),
        ("banana", "unknown_parameter"),
        ("logit_bias", "unsupported_parameter"),
        ("messages.[0].content.[1].image_url.url", "unsupported_image_format"),
    }
    assert error.message == error.details[0].message


def test_images_are_looked_at_as_far_as_a_refused_body_can_be_read() -> None:
    broken = {"type": "image_url", "image_url": {"url": 5}}
    body = chat(broken, image(b"nothing"), "a", image(picture()))
    body["messages"] += [{"role": "assistant", "content": [image()]}, {"role": "wizard", "content": [image()]}, 7]

    error = refused(body)

    assert {(problem.param, problem.code) for problem in error.details} == {
        ("messages.[0].content.[0].image_url.url", "invalid_type"),
        ("messages.[0].content.[1].image_url.url", "unsupported_image_format"),
        ("messages.[1].content.[0].type", "invalid_image_role"),
        ("messages.[2].role", "invalid_value"),
        ("messages.[3]", "invalid_type"),
    }
    named = {problem.param: problem.message for problem in error.details}
    assert named["messages.[0].content.[1].image_url.url"].startswith("image 2 is ")
    assert "image 4 is in an assistant message" in named["messages.[1].content.[0].type"]


ROLE = {"messages": [{"role": [], "content": [image()]}]}


@pytest.mark.parametrize(
    "body", [[], {"messages": 5}, {"messages": [{"content": [5, {}]}]}, {"messages": [None]}, ROLE]
)
def test_body_without_good_images_is_refused_all_the_same(body: Any) -> None:
    assert refused(body).details


def test_every_bad_image_is_named_beside_the_rest() -> None:
    error = refused(chat(image(b"nothing"), "a", image(b"nothing"), top_logprobs=2))

    assert [problem.param for problem in error.details] == [
        "top_logprobs",
        "messages.[0].content.[0].image_url.url",
        "messages.[0].content.[2].image_url.url",
    ]


@pytest.mark.parametrize("role", ["system", "developer", "assistant", "tool"])
def test_image_outside_of_a_user_message_is_refused(role: str) -> None:
    body = chat("a")
    more = {"tool_call_id": "1"} if role == "tool" else {}
    body["messages"].insert(0, {"role": role, "content": [image()], **more})

    error = refused(body)

    assert (error.code, error.param) == ("invalid_image_role", "messages.[0].content.[0].type")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"model": "m",\n "messages": [}', "at line 2 column 15"),
        (b'{"model": "m"', "at line 1 column 13"),
        (b'{"model": "a\nb", "messages": [}', "at line 2 column"),
        (b'{"model": "a\nb",\n "user": "hei\xdf"}', "at line 3 column 14"),
        (b'{"model": "a\nb", "temperature": NaN}', "at line 2 column 20"),
        (b'{"model": "m"} x', "at line 1 column 16"),
        (b"\xff\xfe", "at line 1 column 1"),
        (b'{"model": "\xff"}', "at line 1 column"),
        (b'{"model": NaN}', "at line 1 column"),
        (b'{"a": "\n", "temperature": NaN}', ""),
        (b'{"a": "\n", "temperature": Infinity}', ""),
        (b"[" * 50_000, "at line 1 column"),
        (b'{"a": "\n", "tools": ' + b"[" * 4_000, ""),
        (b'{"a": "\n", "tools": ' + b"[" * 900 + b"]" * 900 + b"}", ""),
        (rb'{"model": "\ud800"}', "at line 1 column"),
        (b'{"a": "\n", "\\ud800": 1}', ""),
        (b'{"a": "\n", "model": "\\ud800"}', ""),
        (b'{"model": 1' + b"0" * 5000 + b"x}", "at line 1 column"),
        (b'{"a": "\n", "seed": 1' + b"0" * 5000 + b"}", ""),
    ],
)
def test_broken_json_is_refused_and_says_where(body: bytes, where: str) -> None:
    error = refused(body)

    assert error.code == "invalid_json"
    assert where in error.message


@pytest.mark.parametrize("name", ["seed", "max_tokens", "n", "model", "temperature", "messages", "banana", "stop"])
def test_integer_of_thousands_of_digits_is_a_plain_refusal(name: str) -> None:
    fields = {"model": b'"m"', "messages": b'[{"role": "user", "content": "a"}]', name: b"1" + b"0" * 5000}
    body = b"{" + b",".join(b'"%s": %s' % (key.encode(), value) for key, value in fields.items()) + b"}"

    error = refused(body)

    assert len(error.message) < 500


def test_last_of_two_equal_names_counts() -> None:
    body = raw("a")[:-1] + b', "model": "second"}'

    assert parsed(body).model == "second"


def test_raw_line_breaks_in_base64_are_taken() -> None:
    """GNU `base64` breaks lines at 76 characters, so that the documented cURL sample is not strict JSON."""
    uri = data_uri(picture("png", 200, 200))
    broken = re.sub("(.{76})", r"\1\n", uri)
    body = json.dumps(chat({"type": "image_url", "image_url": {"url": "@"}})).replace("@", broken).encode()

    request = parsed(body)

    assert request.images[0].data == picture("png", 200, 200)


@pytest.mark.parametrize("control", ["\n", "\r\n", "\t", "\x01"])
def test_raw_control_characters_in_text_are_taken_as_they_are(control: str) -> None:
    body = raw("a@b").replace(b"@", control.encode())

    assert parsed(body).messages[0].parts == (TextPart(f"a{control}b"),)


@pytest.mark.parametrize("key", ["x" * 100_000, "a\nb", "é", "[0]", ".", ""])
def test_strange_name_of_a_parameter_is_refused_in_few_words(key: str) -> None:
    error = refused({**chat("a"), key: 1})

    assert error.code == "unknown_parameter"
    assert len(error.message) < 500


def test_hundred_thousand_problems_are_not_all_repeated() -> None:
    error = refused({**chat("a"), **{f"p{at}": 1 for at in range(60_000)}})

    assert len(error.details) <= 100
