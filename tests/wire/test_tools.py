"""Tools: what may be called, what was called and what came of it, as OpenAI spells them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sightline.api.answer import Stream
from sightline.core import ChatRequest, Delta, TextPart, ToolCall, Tools, Usage
from sightline.engines.catalogue import check
from sightline.errors import InvalidRequest, Problem
from sightline.pipeline.run import Pieces
from sightline.testing.scripted_engine import ScriptedEngine
from sightline.wire.parse import parse_chat
from sightline.wire.render import Head, chunk, completion, delta_choice, encode
from support.bodies import CALL, TOOL, chat
from support.description import assert_described

MANY = {f"x{number}": 0 for number in range(9_000)}
INVENTED = {"name": "no such", "arguments": ""}
HEAD = Head("chatcmpl-1", 0, "m")
PIECES = (
    Delta("", tool_calls=(ToolCall(0, "call_1", "look_up", ""),)),
    Delta("", tool_calls=(ToolCall(0, arguments='{"part":'),)),
    Delta("", tool_calls=(ToolCall(0, arguments='"7"}'), ToolCall(1, "call_2", "look_up", "{}"))),
    Delta("", finish_reason="tool_calls"),
)


def parsed(body: dict[str, Any]) -> ChatRequest:
    return parse_chat(json.dumps(body).encode(), lambda *_: pytest.fail("there is no image"))


def problems(body: dict[str, Any]) -> list[Problem]:
    with pytest.raises(InvalidRequest) as caught:
        parsed(body)
    return list(caught.value.details)


def test_tools_are_taken_as_they_were_sent() -> None:
    named = {"type": "function", "function": {"name": "look_up"}}

    request = parsed(chat("a", tools=[TOOL], tool_choice=named, parallel_tool_calls=False))

    assert isinstance(request.tools, Tools)
    assert json.loads(request.tools.definitions) == [TOOL]
    assert json.loads(request.tools.choice or "") == named
    assert request.tools.parallel is False
    assert {"tools", "tool_choice"} <= request.params_sent


@pytest.mark.parametrize("choice", ["none", "auto", "required"])
def test_choice_may_be_a_word(choice: str) -> None:
    tools = parsed(chat("a", tools=[TOOL], tool_choice=choice)).tools

    assert tools == Tools(json.dumps([TOOL], separators=(",", ":")), json.dumps(choice))


def test_no_tools_and_no_calls_ask_for_nothing() -> None:
    request = parsed(chat("a", tools=[], messages=[{"role": "assistant", "content": "a", "tool_calls": []}]))

    assert request.tools is None
    assert request.messages[0].tool_calls == ()
    check(request, ScriptedEngine()._info)


def test_a_model_without_tools_takes_neither_them_nor_calls_of_them() -> None:
    turns = [{"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": "7", "tool_call_id": "call_1"}]

    with pytest.raises(InvalidRequest) as caught:
        check(parsed(chat("a", tools=[TOOL], tool_choice="auto", messages=turns)), ScriptedEngine()._info)

    found = [problem.param for problem in caught.value.details]
    assert found == ["tool_choice", "tools", "messages.[0].tool_calls"]


def test_calls_and_their_results_are_kept() -> None:
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call_2", "index": 1}]},
        {"role": "tool", "content": "seven", "tool_call_id": "call_1", "name": "look_up"},
        {
            "role": "assistant",
            "tool_calls": [{**CALL, "function": {"name": "no such", "arguments": ""}}],
            "content": "b",
        },
    ]

    _, called, result, said = parsed(chat("a", messages=turns)).messages

    assert called.parts == ()
    assert called.tool_calls == tuple(ToolCall(at, f"call_{at + 1}", "look_up", '{"part":"7"}') for at in range(2))
    assert (result.tool_call_id, result.parts) == ("call_1", (TextPart("seven"),))
    assert (said.parts, len(said.tool_calls)) == ((TextPart("b"),), 1)


@pytest.mark.parametrize(
    ("more", "param", "code"),
    [
        ({"tools": [TOOL] * 129}, "tools", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools.[0].function", "missing_required_parameter"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.[0].function.name", "invalid_value"),
        ({"tools": [{"type": "hammer"}]}, "tools.[0].type", "invalid_value"),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools.[0].type", "unsupported_parameter"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.function", "missing_required_parameter"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": ":"}}},
            "tool_choice.function.name",
            "invalid_value",
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice.type", "unsupported_parameter"),
        ({"tool_choice": "auto"}, "tool_choice", "invalid_value"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"enum": [0] * 20_001}}}]},
            "tools",
            "invalid_value",
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": dict.fromkeys(MANY, 0)}},
            None,
            "invalid_value",
        ),
        ({"tools": [{"type": "function", "function": dict.fromkeys(MANY, 0)}]}, None, "invalid_value"),
    ],
)
def test_wrong_tools_are_named(more: dict[str, Any], param: str | None, code: str) -> None:
    assert [(problem.param, problem.code) for problem in problems(chat("a", **more))] == [(param, code)]


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ({"role": "assistant"}, "content", "missing_required_parameter"),
        ({"role": "assistant", "content": None}, "content", "missing_required_parameter"),
        ({"role": "assistant", "tool_calls": []}, "content", "missing_required_parameter"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": ""}]}, "tool_calls.[0].id", "invalid_value"),
        ({"role": "tool", "content": "a", "tool_call_id": "a" * 4097}, "tool_call_id", "invalid_value"),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {}}]},
            "tool_calls.[0].type",
            "unsupported_parameter",
        ),
        ({"role": "tool", "content": "a"}, "tool_call_id", "missing_required_parameter"),
        ({"role": "user", "content": []}, "content", "invalid_value"),
    ],
)
def test_wrong_messages_are_named(message: dict[str, Any], param: str, code: str) -> None:
    found = [(problem.param, problem.code) for problem in problems(chat("a", messages=[message]))]

    assert found == [(f"messages.[0].{param}", code)]


def test_answer_that_calls_is_put_together_from_its_pieces() -> None:
    body = json.loads(encode(completion(HEAD, [PIECES], Usage(3, 4), {})))

    assert_described(body, "CreateChatCompletionResponse")
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        CALL,
        {"id": "call_2", "type": "function", "function": {"name": "look_up", "arguments": "{}"}},
    ]


def test_chunks_of_calls_are_as_openai_describes() -> None:
    chunks = [json.loads(encode(chunk(HEAD, [delta_choice(0, piece)]))) for piece in PIECES]

    for one in chunks:
        assert_described(one, "CreateChatCompletionStreamResponse")
    first, second, *_ = (one["choices"][0]["delta"]["tool_calls"][0] for one in chunks[:3])
    assert first == {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "look_up", "arguments": ""},
    }
    assert second == {"index": 0, "function": {"arguments": '{"part":'}}
    assert chunks[3]["choices"][0]["delta"] == {}


def test_piece_with_text_and_a_call_loses_neither() -> None:
    request = parsed(chat("a", stream=True))
    stream = Stream(HEAD, request, is_kept=False)

    made = stream.pieces(Pieces(0, (Delta("a"), Delta("b", tool_calls=PIECES[0].tool_calls))))

    deltas = [json.loads(frame.removeprefix("data: ")) for frame in made.decode().split("\n\n") if frame]
    said = [one["choices"][0]["delta"] for one in deltas]
    assert "".join(one.get("content", "") for one in said) == "ab"
    assert [one["tool_calls"][0]["id"] for one in said if "tool_calls" in one] == ["call_1"]


def test_joined_pieces_keep_their_calls() -> None:
    whole = Delta.join(PIECES)

    assert (whole.finish_reason, len(whole.tool_calls)) == ("tool_calls", 4)
