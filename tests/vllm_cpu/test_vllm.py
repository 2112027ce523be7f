"""What a client of Sightline gets from a real vLLM behind it, beside what the embedded engine gives it."""

from __future__ import annotations

import json
import time
from math import inf
from typing import Any, NamedTuple

import httpx2
import pytest
from drawing import draw, rng_for
from facts import ask_colour, ask_count, ask_shape, ask_side
from phrasing import phrase
from PIL import Image
from scenes import sample_scene

from support.live import PEEK, image, recitation
from support.models import IMAGE_TOKENS
from support.pictures import encoded
from vllm_cpu.conftest import TOOLED, Side

pytestmark = [pytest.mark.scale, pytest.mark.timeout(600)]

PICTURES = 50
SMALLEST_PX, LARGEST_PX = 160, 480
ASKERS = (ask_colour, ask_shape, ask_side, ask_count)
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "note_colour",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"colour": {"enum": list(COLOURS)}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
}
TIE = 0.2
"""Two tokens are nearly as likely when their log-probabilities differ by less.

vLLM's attention on processors lets each part of a picture see only those before it, unlike Gemma 3's own code and
the embedded engine. A model that knows what it sees answers the same all the same.
"""


class Answer(NamedTuple):
    """One greedy answer: its tokens, what else each might have been with its log-probability, and the usage."""

    text: str
    tokens: list[str]
    likely: list[dict[str, float]]
    usage: dict[str, Any]


def drawing(number: int) -> list[dict[str, Any]]:
    """A picture of the kind that the model knows but was not trained on, and a question about it."""
    rng = rng_for("eval", number, seed=7)
    asker = ASKERS[number % len(ASKERS)]
    while (fact := asker(scene := sample_scene(rng), rng)) is None:
        pass
    height = int(rng.integers(SMALLEST_PX, LARGEST_PX))
    picture = Image.fromarray(draw(scene, round(height * scene.aspect), height))
    kind = ("png", "jpeg", "webp")[number % 3]
    part = image(encoded(picture, kind), f"image/{kind}")
    return [{"role": "user", "content": [part, {"type": "text", "text": phrase(fact, rng).question}]}]


def ask(side: Side, number: int, **more: Any) -> Any:
    """Have one picture answered greedily."""
    asked: dict[str, Any] = {"temperature": 0, "max_tokens": 40, **more}
    return side.client.chat.completions.create(model=PEEK, messages=drawing(number), **asked)


def answer(side: Side, number: int, likely: int = 0) -> Answer:
    """The same with what was as likely; `likely` tokens at each place."""
    got = ask(side, number, logprobs=True, **({"top_logprobs": likely} if likely else {}))
    content = got.choices[0].logprobs.content
    return Answer(
        got.choices[0].message.content,
        [token.token for token in content],
        [{top.token: top.logprob for top in token.top_logprobs} for token in content],
        got.usage.model_dump(),
    )


def margin(theirs: Answer, ours: Answer) -> tuple[str, str, float]:
    """Where two answers part: the token of each, and how much likelier vLLM finds its own."""
    place = next(i for i, (one, other) in enumerate(zip(theirs.tokens, ours.tokens, strict=False)) if one != other)
    one, other, likely = theirs.tokens[place], ours.tokens[place], theirs.likely[place]
    return one, other, likely[one] - likely.get(other, -inf)


def test_greedy_answers_and_usage_are_the_embedded_engines(
    through: Side, embedded: Side, capsys: pytest.CaptureFixture[str]
) -> None:
    parted = []
    for number in range(PICTURES):
        theirs, ours = answer(through, number, likely=20), answer(embedded, number)
        if theirs.text == ours.text:
            assert theirs.usage == ours.usage
        else:
            parted.append((number, *margin(theirs, ours)))

    with capsys.disabled():
        print(f"\n{PICTURES - len(parted)} of {PICTURES} greedy answers equal, with equal usage", end="")
        for number, one, other, by in parted:
            print(f"\npicture {number}: {one!r} beside {other!r}, {by:.2f} apart", end="")
    assert len(parted) <= PICTURES // 10
    assert all(by < TIE for *_, by in parted)


def test_usage_counts_the_images_as_the_receipt_does(through: Side) -> None:
    got = ask(through, 3)

    assert got.usage.prompt_tokens_details.model_dump()["image_tokens"] == IMAGE_TOKENS
    assert got.model_extra["sightline"]["images"][0]["image_tokens"] == IMAGE_TOKENS


def test_top_logprobs_come_through(through: Side) -> None:
    got = ask(through, 1, max_tokens=4, logprobs=True, top_logprobs=3)

    for token in got.choices[0].logprobs.content:
        assert len(token.top_logprobs) == 3
        assert token.top_logprobs[0].token == token.token
        assert [top.logprob for top in token.top_logprobs] == sorted(
            (t.logprob for t in token.top_logprobs), reverse=True
        )


def test_schema_is_followed_through_it(through: Side) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": list(COLOURS)}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    asked = {"type": "json_schema", "json_schema": {"name": "colour", "strict": True, "schema": schema}}

    for number in range(4):
        said = json.loads(ask(through, number, max_tokens=60, response_format=asked).choices[0].message.content)
        assert said.keys() == {"colour"}
        assert said["colour"] in COLOURS


def called(call: Any) -> Any:
    """What a call of the tool says, once it is known to be one."""
    assert call.function.name == "note_colour"
    assert call.id
    said = json.loads(call.function.arguments)
    assert said["colour"] in COLOURS
    return said


def test_a_tool_is_called_through_it_plain_and_streamed(through: Side) -> None:
    """A tool that is named in `tool_choice` is called whatever the model: vLLM holds its arguments to the schema."""
    asked: dict[str, Any] = {"messages": drawing(0), "max_tokens": 200, "temperature": 0, "tools": [TOOL]}
    asked |= {"model": TOOLED, "tool_choice": {"type": "function", "function": {"name": "note_colour"}}}

    plain = through.client.chat.completions.create(**asked)
    with through.client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as stream:
        streamed = stream.get_final_completion()

    (call,), (same,) = plain.choices[0].message.tool_calls, streamed.choices[0].message.tool_calls
    assert called(call) == called(same)
    assert plain.usage == streamed.usage


def test_stream_says_what_a_plain_answer_does(through: Side) -> None:
    plain = ask(through, 2)

    chunks = list(ask(through, 2, stream=True, stream_options={"include_usage": True}))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == (
        plain.choices[0].message.content
    )
    assert chunks[-1].usage == plain.usage


def test_preview_is_the_prompt_that_vllm_counts(through: Side) -> None:
    got = ask(through, 2, max_tokens=1)

    preview = httpx2.post(
        f"{through.service.base_url}/chat/completions/input_tokens",
        json={"model": PEEK, "messages": drawing(2)},
        headers={"authorization": f"Bearer {through.service.api_key}"},
    )

    assert preview.json()["input_tokens"] == got.usage.prompt_tokens


def test_client_that_leaves_ends_the_work_in_vllm(through: Side, vllm: str) -> None:
    stream = ask(through, 1, max_tokens=1500, stream=True, response_format=recitation("one two three " * 300))
    for _ in range(5):
        next(stream)
    assert running(vllm) == 1

    stream.close()
    began = time.monotonic()
    while running(vllm):
        assert time.monotonic() - began < 5
        time.sleep(0.02)


def running(vllm: str) -> int:
    """How many requests a vLLM is at work on, by its own figures."""
    lines = httpx2.get(f"{vllm}/metrics").text.splitlines()
    return round(sum(float(line.split()[-1]) for line in lines if line.startswith("vllm:num_requests_running")))
