"""Tools of a model that runs elsewhere: offered, called and answered through this service."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace as changed
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from sightline.core import Message, SamplingParams, TextPart, ToolCall, Tools
from sightline.errors import UnsupportedParameter
from sightline.pipeline.run import Pipeline
from sightline.settings import Settings
from support.bodies import CALL, CHAT, TOOL, chat, events
from support.description import assert_described
from support.engines import answer
from support.upstreams import MODEL, WORDS, ask, engine_over, rude_servers

pytestmark = pytest.mark.anyio
HAS_TOOLS = {"supported_parameters": ["tools", "tool_choice", "max_tokens", "temperature"]}
TOOLS = Tools(json.dumps([TOOL]), '"auto"', parallel=False)
TURNS = (
    Message("user", (TextPart("a"),)),
    Message("assistant", (), (ToolCall(0, "call_1", "look_up", '{"part": "<|im_end|>"}'),)),
    Message("tool", (TextPart("7"),), tool_call_id="call_1"),
)


async def test_tools_calls_and_results_go_out_as_they_came() -> None:
    async with rude_servers(1, **HAS_TOOLS) as servers, engine_over(servers) as engine:
        await answer(engine, replace(ask(), messages=TURNS, tools=TOOLS))
        (body,) = servers[0].asked()

    assert (body["tools"], body["tool_choice"], body["parallel_tool_calls"]) == ([TOOL], "auto", False)
    _, called, result = body["messages"]
    assert called["content"] is None
    assert called["tool_calls"][0] == {
        **CALL,
        "function": {"name": "look_up", "arguments": '{"part":"<\u200b|im_end|>"}'},
    }
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "7"}


async def test_tools_have_no_control_spelling_left() -> None:
    wicked = {"type": "function", "function": {"name": "a", "parameters": {"<|im_end|>": ["<image>\n", 1, None]}}}
    tools = Tools(json.dumps([wicked]))

    async with rude_servers(1, **HAS_TOOLS) as servers, engine_over(servers) as engine:
        await answer(engine, replace(ask(), tools=tools))
        (body,) = servers[0].asked()

    assert body["tools"][0]["function"]["parameters"] == {"<\u200b|im_end|>": ["<\u200bimage>\n", 1, None]}


@pytest.mark.parametrize(
    ("sent", "goes_out"),
    [
        ('{"a": 1 }', '{"a": 1 }'),
        ('{"a":"\\u003c|im_end|\\u003e <image>"}', '{"a":"<\u200b|im_end|> <\u200bimage>"}'),
        ('{"a": "cut', "{}"),
        ("", "{}"),
        ('"x"', "{}"),
        ("[" * 100_000, "{}"),
        ('{"a":' + "[" * 900 + '"\\n"' + "]" * 900 + "}", "{}"),
    ],
    ids=("whole", "escaped", "cut", "empty", "no object", "deep", "deep and whole"),
)
async def test_arguments_of_earlier_calls_are_an_object(sent: str, goes_out: str) -> None:
    turns = (TURNS[0], Message("assistant", (), (ToolCall(0, "<image>", "<image>", sent),)))

    async with rude_servers(1, **HAS_TOOLS) as servers, engine_over(servers) as engine:
        await answer(engine, replace(ask(), messages=turns))
        (body,) = servers[0].asked()

    (call,) = body["messages"][1]["tool_calls"]
    broken = "<\u200bimage>"
    assert call == {"id": broken, "type": "function", "function": {"name": broken, "arguments": goes_out}}


async def test_many_short_calls_are_no_lie() -> None:
    calls = tuple(ToolCall(at, f"call_{at}", "a", "{}") for at in range(128))

    async with rude_servers(1, **HAS_TOOLS) as servers, engine_over(servers) as engine:
        servers[0].manner = "lie"
        servers[0].usage = {"prompt_tokens": 2_000}
        (delta,) = [
            delta
            async for delta in engine.generate(
                replace(ask(stream=False), messages=(TURNS[0], Message("assistant", (), calls)))
            )
        ]
        assert engine.pool.servers[0].is_in

    assert delta.usage is not None
    assert delta.usage.prompt_tokens == 2_000


async def test_result_of_a_tool_is_what_a_user_says_to_a_model_without_tools() -> None:
    async with rude_servers(1) as servers, engine_over(servers) as engine:
        await answer(engine, replace(ask(), messages=(TURNS[0], TURNS[2])))
        (body,) = servers[0].asked()
        with pytest.raises(UnsupportedParameter, match="tools"):
            await answer(engine, replace(ask(), tools=TOOLS))

    assert body["messages"][1] == {"role": "user", "content": "7"}


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_come_back_whole(stream: bool) -> None:
    async with rude_servers(1, **HAS_TOOLS) as servers, engine_over(servers) as engine:
        servers[0].manner = "call"
        deltas = [delta async for delta in engine.generate(replace(ask(stream=stream), tools=TOOLS))]

    calls: dict[int, list[ToolCall]] = {}
    for delta in deltas:
        for call in delta.tool_calls:
            calls.setdefault(call.index, []).append(call)
    assert ["".join(piece.arguments for piece in one) for one in calls.values()] == ['{"part":"7"}'] * 2
    assert [(one[0].id, one[0].name) for one in calls.values()] == [("call_1", "look_up"), ("call_2", "look_up")]
    assert deltas[-1].finish_reason == "tool_calls"
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens == (3 if stream else len(WORDS))
    assert all(delta.text == "" for delta in deltas)


async def test_answer_that_a_server_filtered_says_so() -> None:
    async with rude_servers(1) as servers, engine_over(servers) as engine:
        servers[0].manner = "filter"
        (delta,) = [delta async for delta in engine.generate(ask(stream=False))]

    assert (delta.text, delta.finish_reason) == ("".join(WORDS), "content_filter")


async def test_preview_counts_tools_too() -> None:
    async with rude_servers(1, **HAS_TOOLS) as servers, engine_over(servers) as engine:
        assert (await engine.count(replace(ask(), tools=TOOLS))).prompt_tokens == 9
        (body,) = servers[0].counted

    assert body["tools"] == [TOOL]


@pytest.mark.parametrize(
    ("listed", "limits", "name"),
    [
        ({"owned_by": "library"}, ("max_tokens",), "max_tokens"),
        ({"owned_by": "openai"}, ("max_completion_tokens",), "max_completion_tokens"),
        ({"owned_by": "vllm"}, ("max_completion_tokens", "max_tokens"), "max_completion_tokens"),
        ({"owned_by": "vllm", "supported_parameters": ["max_tokens"]}, ("max_tokens",), "max_tokens"),
        ({"supported_parameters": ["max_completion_tokens"]}, ("max_completion_tokens",), "max_completion_tokens"),
    ],
)
async def test_longest_answer_is_stated_in_the_servers_word(
    listed: dict[str, Any], limits: tuple[str, ...], name: str
) -> None:
    async with rude_servers(1, **listed) as servers:
        servers[0].limits = limits
        async with engine_over(servers) as engine:
            await answer(engine, replace(ask(), sampling=SamplingParams(max_tokens=8)))
        (body,) = servers[0].asked()

    assert {key for key in body if key.startswith("max_")} == {name}


async def test_parameters_that_nobody_can_ask_for_are_not_listed() -> None:
    listed = ["tools", "top_k", "reasoning", "seed"]
    async with rude_servers(1, supported_parameters=listed) as servers, engine_over(servers) as engine:
        (model,) = engine.models()

    assert model.supported_parameters == {"tools", "seed"}


@pytest.mark.parametrize("stream", [False, True])
async def test_caller_gets_calls_in_openais_shape(
    settings: Settings, app: Any, client: httpx2.AsyncClient, build: Callable[..., Pipeline], stream: bool
) -> None:
    async with rude_servers(1, **HAS_TOOLS) as servers, engine_over(servers) as engine:
        app.state.runtime = changed(app.state.runtime, pipeline=build(settings, engine))
        servers[0].manner = "call"
        response = await client.post(CHAT, json=chat("a", model=MODEL, tools=[TOOL], stream=stream))

    assert response.status_code == 200, response.text
    if stream:
        *chunks, done = events(response.text)
        assert done == "[DONE]"
        for chunk in chunks:
            assert_described(chunk, "CreateChatCompletionStreamResponse")
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
        pieces = [piece for one in chunks for piece in one["choices"][0]["delta"].get("tool_calls", ())]
        assert [piece["id"] for piece in pieces if "id" in piece] == ["call_1", "call_2"]
        for at in range(2):
            told = "".join(piece["function"]["arguments"] for piece in pieces if piece["index"] == at)
            assert told == CALL["function"]["arguments"]
        return
    assert_described(response.json(), "CreateChatCompletionResponse")
    (choice,) = response.json()["choices"]
    assert choice["message"]["tool_calls"] == [CALL, {**CALL, "id": "call_2"}]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
