"""How much of a body is read and judged: what would hold up every other request is refused, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core import ChatRequest, TextPart
from sightline.errors import InvalidRequest
from sightline.wire.bounds import values
from sightline.wire.parse import parse_chat
from support.bodies import chat, raw


def parsed(body: Any) -> ChatRequest:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_chat(sent, lambda *_: pytest.fail("there is no image"))


def refused(body: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parsed(body)
    return caught.value


LONG = {
    "messages that are none": {"messages": [1] * 3000},
    "messages": {"messages": [{"role": "user", "content": "a"}] * 2049},
    "parts": chat(*["a"] * 2048),
    "unknown names": chat("a") | {f"k{at}": 1 for at in range(9000)},
    "unknown names in messages": {"messages": [{f"k{at}": 1 for at in range(50)}] * 2000},
    "unknown names in an image": chat({"type": "image_url", "image_url": {f"k{at}": 1 for at in range(9000)}}),
    "unknown names in a schema": chat("a") | {"response_format": {"json_schema": {f"k{at}": 1 for at in range(9000)}}},
    "citations": {"messages": [{"role": "assistant", "content": "a", "annotations": [{}] * 9000}]},
    "values of a list": chat("a") | {"modalities": [1] * 9000},
}


@pytest.mark.parametrize("name", LONG)
def test_what_would_take_long_to_judge_is_refused_before(name: str) -> None:
    problem = refused(LONG[name])

    assert problem.code == "invalid_value"
    assert "the limit is" in problem.message
    assert len(problem.details) <= 1


def test_two_thousand_messages_are_taken() -> None:
    messages = [{"role": "user", "content": "a", "name": "b"}] * 2048

    assert len(parsed(chat("a") | {"messages": messages}).messages) == 2048


@pytest.mark.parametrize(
    ("entries", "is_taken"), [(9_000, True), (9_990, True), (10_010, False), (20_000, False)], ids=str
)
def test_a_schema_is_taken_up_to_a_number_of_entries(entries: int, is_taken: bool) -> None:
    """Each of the properties is an entry of one object and has one of its own."""
    schema = {"type": "object", "properties": {f"p{at}": {"type": "null"} for at in range(entries)}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    if is_taken:
        assert parsed(chat("a", response_format=form)).sampling.response_format.schema == json.dumps(
            schema, separators=(",", ":")
        )
    else:
        (problem,) = refused(chat("a", response_format=form)).details
        assert problem.param == "response_format.json_schema.schema"
        assert "more than 20,000 entries" in problem.message


MANY = {
    "lists": "[[],[]" + ",[]" * 330_000 + "]",
    "objects": "[{}" + ',{"":{}}' * 50_000 + "]",
    "numbers": "[1" + ",1" * 50_000 + "]",
    "strings": '[""' + ',""' * 120_000 + "]",
    "strings with quotes": '["\\""' + ',"\\"\\\\"' * 60_000 + "]",
    "strings with commas": '[","' + ',",,,"' * 60_000 + "]",
    "nested": ("[" * 100 + "]" * 100 + ",") * 600,
    "half a list": "[[]" + ",[]" * 330_000,
}


@pytest.mark.parametrize("name", MANY)
def test_a_body_of_very_many_values_is_refused_unread(name: str) -> None:
    error = refused(raw("a", logit_bias="@").replace(b'"@"', MANY[name].encode()))

    assert error.code == "invalid_value"
    assert "the limit is 50,000" in error.message


@pytest.mark.parametrize("written", [",", "[{", '\\", [', "\\\\,[", '"', '",', "\\"])
def test_a_text_may_be_made_of_what_parts_values(written: str) -> None:
    written *= 100_000

    assert parsed(raw(written)).messages[0].parts == (TextPart(written),)


@given(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_values_are_told_from_texts(value: Any) -> None:
    def parted(one: Any) -> int:
        """Lists, objects and commas."""
        if not isinstance(one, list | dict):
            return 0
        items = list(one.values()) if isinstance(one, dict) else one
        return 1 + max(len(items) - 1, 0) + sum(map(parted, items))

    assert values(json.dumps(value).encode()) == parted(value)
    assert values(json.dumps(value, ensure_ascii=False).encode()) == parted(value)


@pytest.mark.parametrize(("entries", "code"), [(4000, "unsupported_parameter"), (6000, "invalid_json")])
def test_raw_control_characters_are_taken_in_bodies_of_few_values(entries: int, code: str) -> None:
    """They are parsed three times, and slowly."""
    body = raw("a@", logit_bias=[1] * entries).replace(b"@", b"\n")

    assert refused(body).code == code


def test_a_text_of_what_begins_pictures_is_parsed_as_text() -> None:
    written = ';base64,"' * 100_000

    assert parsed(raw(written)).messages[0].parts == (TextPart(written),)
