"""A question in front of its images is said again behind them: what the model gets, what it uses, what is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace as changed
from typing import Any

import pytest

from sightline.core import ImagePart, Message, Part, TextPart
from sightline.pipeline.estimate import estimate
from sightline.pipeline.fanout import Pieces
from sightline.pipeline.run import Completed, Pipeline
from sightline.prompting.format import MOST_REPEATED
from sightline.prompting.prompt_repetition import images_before_repetition, repeat_questions
from sightline.settings import Settings
from sightline.testing.scripted_engine import ScriptedEngine
from support.bodies import image
from support.pictures import picture
from support.requests import chat, context, events

pytestmark = pytest.mark.anyio

SAID = "the text in front of it was said again behind it"


@pytest.fixture
async def pipeline(settings: Settings, build: Callable[..., Pipeline]) -> AsyncIterator[Pipeline]:
    """Of a model that repeats its prompt."""
    engine = ScriptedEngine(prompt_repetition=True)
    await engine.start()
    yield build(settings, engine)
    await engine.stop()


@pytest.mark.parametrize(
    ("parts", "told", "followed"),
    [
        (["What?", image(picture())], "What? [32x32] What?", [True]),
        ([image(picture()), "What?"], "[32x32] What?", [False]),
        (["One", image(picture()), "or two", image(picture())], "One [32x32] or two [32x32] One or two", [False, True]),
        (["Of this:", image(picture()), "what?"], "Of this: [32x32] what?", [False]),
        ([image(picture())], "[32x32]", [False]),
        (["a" * MOST_REPEATED, image(picture())], f"{'a' * MOST_REPEATED} [32x32] {'a' * MOST_REPEATED}", [True]),
        (["a" * (MOST_REPEATED + 1), image(picture())], f"{'a' * (MOST_REPEATED + 1)} [32x32]", [False]),
    ],
)
async def test_what_stands_in_front_of_pictures_is_said_again_behind_the_last(
    pipeline: Pipeline, parts: list[Any], told: str, followed: list[bool]
) -> None:
    *came, end = await events(pipeline, chat(*parts))

    assert isinstance(end, Completed)
    assert "".join(delta.text for one in came if isinstance(one, Pieces) for delta in one.deltas) == told
    assert [SAID in receipt.actions for receipt in end.images] == followed


async def test_it_is_counted_and_previewed_as_text(pipeline: Pipeline) -> None:
    first, last = chat("What is it?", image(picture())), chat(image(picture()), "What is it?")

    previews = [await pipeline.preview(request, context()) for request in (first, last)]
    ends = [(await events(pipeline, request))[-1] for request in (first, last)]

    used = [end.usage for end in ends if isinstance(end, Completed)]
    assert [preview.usage.prompt_tokens for preview in previews] == [usage.prompt_tokens for usage in used]
    assert [usage.text_tokens for usage in used] == [6, 3]
    assert SAID in previews[0].images[0].actions


def test_every_message_keeps_its_parts_and_says_its_own_again() -> None:
    first, second, answer = TextPart("first"), TextPart("second"), Message("assistant", (TextPart("yes"),))
    asked: list[tuple[Part, ...]] = [(first, ImagePart(0)), (second, ImagePart(1)), (second,)]
    messages = [Message("system", (first,)), *(Message("user", parts) for parts in asked), answer]

    extended = repeat_questions(messages)

    assert [message.parts for message in extended] == [
        (first,),
        (first, ImagePart(0), first),
        (second, ImagePart(1), second),
        (second,),
        answer.parts,
    ]
    assert images_before_repetition(messages) == {0, 1}
    assert repeat_questions(extended) == extended


@pytest.mark.parametrize("where", ["prompt_repetition", "upstream_prompt_repetition"])
def test_it_is_set_aside(where: str) -> None:
    text = "What is it?!" * 8
    plain = ScriptedEngine()._info

    more, less = (
        estimate(chat(text, image(picture())), model, assumed_tokens=10).prompt_tokens
        for model in (changed(plain, **{where: True}), plain)
    )

    assert more - less == len(text) // 4
