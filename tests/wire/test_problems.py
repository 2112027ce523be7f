"""What pydantic finds, in our words: no library text, no more than a line, whatever the sender wrote."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage
from pydantic import ValidationError

from sightline.errors import InvalidRequest, Problem
from sightline.wire.parse import parse_chat
from sightline.wire.problems import describe
from sightline.wire.protocol import ChatBody
from support.bodies import chat, raw, text

CITATION = {
    "type": "url_citation",
    "url_citation": {"url": "https://a", "title": "A", "start_index": 0, "end_index": 1},
}


def problems(body: Any) -> list[Problem]:
    with pytest.raises(ValidationError) as caught:
        ChatBody.model_validate(body)
    return [describe(item, body) for item in caught.value.errors(include_url=False)]


def test_no_more_of_a_long_value_is_looked_at_than_is_shown() -> None:
    """Python quotes a text with an apostrophe otherwise; written out, a megabyte of control characters is four."""
    (plain,) = problems(chat("a", modalities=["x" * 100]))
    (apostrophe,) = problems(chat("a", modalities=["x" * 100 + "'" * 900_000]))

    assert apostrophe.message == plain.message


def refused(body: Any) -> list[Problem]:
    """What a whole body is refused with."""
    try:
        parse_chat(json.dumps(body).encode(), lambda *_: pytest.fail("there is no image"))
    except InvalidRequest as error:
        return list(error.details) or [Problem(error.message, error.param, error.code)]
    return []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (chat("a", temperature=3), "temperature must be 2 or less, and is 3."),
        (chat("a", temperature=2.0000001), "temperature must be 2 or less, and is 2.0000001."),
        (chat("a", temperature=-1), "temperature must be 0 or more, and is -1."),
        (chat("a", top_p=-1), "top_p must be 0 or more, and is -1."),
        (chat("a", n="two"), "n must be an integer, and is a string."),
        (chat("a", n=True), "n must be an integer, and is a boolean."),
        (chat("a", n=1.5), "n must be an integer, and is a number."),
        (chat("a", seed=2**63), "seed must be less than 9223372036854775808, and is 9223372036854775808."),
        (chat("a", stream=[]), "stream must be a boolean, and is an array."),
        (chat("a", user={}), "user must be a string, and is an object."),
        (chat("a", model=None), "model must be a string, and is null."),
        (chat("a", model=""), "model must have 1 or more characters, and is ''."),
        (chat("a", stop=[]), "stop must have 1 or more entries, and has 0."),
        (chat("a", stop=["a"] * 5), "stop must have 4 or fewer entries, and has 5."),
        (chat("a", metadata={str(at): "" for at in range(17)}), "metadata must have 16 or fewer entries, and has 17."),
        (
            chat("a", messages=[{"role": "bot"}]),
            "messages.[0].role must be one of 'system', 'developer', 'user', 'assistant', 'tool', and is 'bot'.",
        ),
        (
            chat("a", messages=[{"role": None}]),
            "messages.[0].role must be one of 'system', 'developer', 'user', 'assistant', 'tool', and is null.",
        ),
        (chat("a", modalities=["smell"]), "modalities.[0] must be 'text' or 'audio', and is 'smell'."),
        (chat("a", modalities=[["text"]]), "modalities.[0] must be 'text' or 'audio', and is an array."),
        (
            chat("a", response_format={"type": "json_schema", "json_schema": {"name": "ä", "schema": {}}}),
            "response_format.json_schema.name must match ^[a-zA-Z0-9_-]{1,64}$, and is 'ä'.",
        ),
        (chat("a", temperature="hot" * 100), "temperature must be a number, and is a string."),
        (chat("a", modalities=["x" * 100]), f"modalities.[0] must be 'text' or 'audio', and is '{'x' * 79}…."),
        (chat("a", banana=1), "banana is not a parameter of this service; leave it out."),
        (chat("a", **{"\tban\x01ana": 1}), "'\\tban\\x01ana' is not a parameter of this service; leave it out."),
        (chat("a", **{"": 1}), "'' is not a parameter of this service; leave it out."),
        (
            chat({**text("a"), "extra": 1}),
            "messages.[0].content.[0].extra is not a parameter of this service; leave it out.",
        ),
    ],
)
def test_problem_says_what_was_expected_and_what_was_sent(body: Any, message: str) -> None:
    assert message in [problem.message for problem in problems(body)]


def test_number_beyond_64_bits_is_said_to_be_one() -> None:
    with pytest.raises(InvalidRequest, match="temperature must be a finite number"):
        parse_chat(raw("a", temperature=7777).replace(b"7777", b"1e400"), lambda *_: pytest.fail("there is no image"))


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, "function_call"),
        ({"role": "assistant", "content": "a", "audio": {"id": "a"}}, "audio"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "content.[0].type"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "content.[0].type"),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, "content.[0].type"),
        ({"role": "function", "name": "f", "content": "a"}, "role"),
    ],
)
def test_what_openai_has_and_we_lack_is_refused_by_name(message: dict[str, Any], param: str) -> None:
    (problem,) = refused(chat(messages=[{"role": "user", "content": "a"}, message]))

    assert (problem.param, problem.code) == (f"messages.[1].{param}", "unsupported_parameter")
    assert "is not supported by this service; leave it out." in problem.message


def test_null_asks_for_nothing() -> None:
    echoed = {"role": "assistant", "content": "a", "tool_calls": None, "function_call": None, "audio": None}

    assert not refused(chat(messages=[echoed, {"role": "user", "content": "b"}]))


@pytest.mark.parametrize("annotations", [None, [], [CITATION]])
def test_answer_is_taken_back_with_all_that_the_client_knows_of_it(annotations: Any) -> None:
    echoed = ChatCompletionMessage(role="assistant", content="a", annotations=annotations).model_dump()

    assert not refused(chat(messages=[echoed, {"role": "user", "content": "b"}]))
    assert refused(chat(messages=[{**echoed, "annotations": "none"}]))


def test_other_problems_of_a_message_that_calls_tools_are_told_too() -> None:
    found = refused(chat(messages=[{"role": "assistant", "content": 3, "tool_calls": 1, "mood": 1}]))

    assert {problem.param for problem in found} == {
        f"messages.[0].{name}" for name in ("content", "tool_calls", "mood")
    }


def test_name_equal_to_a_role_does_not_lead_astray() -> None:
    body = chat("a", messages=[{"role": "user", "user": {"content": 1}, "content": 3}])

    assert {problem.param for problem in problems(body)} == {"messages.[0].user", "messages.[0].content"}


KEYS = st.sampled_from(["type", "text", "role", "content", "user", "image_url", "url", "model", "stop", "n"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*ChatBody.model_fields, "banana"]), VALUES, max_size=5))
def test_any_body_is_described_without_library_text(body: dict[str, Any]) -> None:
    try:
        ChatBody.model_validate(body)
    except ValidationError as error:
        found = [describe(item, body) for item in error.errors(include_url=False)]
    else:
        return

    for problem in found:
        assert problem.param
        assert problem.message.startswith(problem.param)
        assert not re.search("pydantic|Input should|valid dictionary|accepted value", problem.message)
        assert len(problem.message) < 600


def test_fields_at_odds_are_named_beside_others() -> None:
    body = chat(
        "a", temperature=9, stream_options={"include_usage": True}, top_logprobs=3, modalities=["text", "audio"]
    )

    assert {problem.param for problem in refused(body)} == {
        "temperature",
        "stream_options",
        "top_logprobs",
        "modalities",
    }


def test_the_limit_of_an_answer_keeps_the_name_that_it_was_sent_by() -> None:
    names = {"max_tokens": {"max_tokens": 5}, "max_completion_tokens": {"max_completion_tokens": 5, "max_tokens": 9}}

    for name, sent in names.items():
        request = parse_chat(raw("a", **sent), lambda *_: pytest.fail("there is no image"))
        assert (request.sampling.max_tokens, request.sampling.limit_name) == (5, name)
