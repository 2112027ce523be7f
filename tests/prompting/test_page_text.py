"""Pictures read by the transcriber for a model that takes their text beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace as changed
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

import sightline
from sightline.client.models import known_models
from sightline.core import ChatRequest, Delta, GenerateRequest, ImagePart, Message, TextPart, ToolCall
from sightline.engines.base import Deltas, GeneratorDeltas
from sightline.engines.pagetext.engine import TranscriptionEngine
from sightline.errors import EngineUnavailable, InvalidRequest
from sightline.images.source import open_image
from sightline.pipeline.estimate import estimate
from sightline.pipeline.fanout import Pieces
from sightline.pipeline.run import Completed, Pipeline
from sightline.prompting.format import quoted
from sightline.prompting.page_text import insert_page_texts
from sightline.settings import BUNDLED, DEFAULT_MAX_RUNNING, ImageLimits, Settings
from sightline.testing.scripted_engine import ScriptedEngine
from sightline.wire.parse import parse_chat
from support.bodies import image, raw
from support.pictures import page, picture
from support.requests import chat, context

pytestmark = [pytest.mark.anyio, pytest.mark.engine]
MOST = 200
EXAMPLES = Path(__file__).parents[2] / "examples" / "images"


class Transcriber(TranscriptionEngine):
    """The real one; it notes how many pictures it was given, and how many of them at once."""

    def __init__(self) -> None:
        super().__init__(threads=2)
        self.read = self.running = self.most = 0

    def generate(self, request: GenerateRequest) -> Deltas:
        return GeneratorDeltas(self._counted(request))

    async def _counted(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        self.read += len(request.images)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            async with aclosing(super().generate(request)) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            self.running -= 1


@pytest.fixture(scope="module")
async def loaded() -> AsyncIterator[Transcriber]:
    transcriber = Transcriber()
    await transcriber.start()
    yield transcriber
    await transcriber.stop()


@pytest.fixture
def transcriber(loaded: Transcriber) -> Transcriber:
    loaded.read = loaded.most = 0
    return loaded


@pytest.fixture
async def reading() -> AsyncIterator[ScriptedEngine]:
    """A model that repeats its prompt, and has its pictures read."""
    engine = ScriptedEngine(ocr_max_chars=MOST)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def pipeline(
    settings: Settings, build: Callable[..., Pipeline], reading: ScriptedEngine, transcriber: Transcriber
) -> Pipeline:
    return build(settings, reading, transcriber)


async def answer(pipeline: Pipeline, request: ChatRequest, owner: str = "key_1") -> tuple[str, Completed]:
    async with aclosing(pipeline.run(request, context(owner))) as events:
        came = [event async for event in events]
    deltas = [delta for event in came if isinstance(event, Pieces) for delta in event.deltas]
    assert isinstance(came[-1], Completed)
    return "".join(delta.text for delta in deltas), came[-1]


async def test_text_stands_in_quotes_behind_its_picture(pipeline: Pipeline) -> None:
    request = chat("first", image(page("Total 41.50")), image(page("Total 7.20", "Paid")), "last")

    text, end = await answer(pipeline, request)

    one, two = "Total 41.50", "Total 7.20\nPaid"
    assert text == f"first [32x32] {quoted(one)} [32x32] {quoted(two)} last"
    assert [receipt.ocr_max_chars for receipt in end.images] == [len(one), len(two)]


async def test_what_is_read_is_counted_as_text_and_previewed(pipeline: Pipeline) -> None:
    request = chat("What?", image(page("Total 41.50")))

    preview = await pipeline.preview(request, context())
    _, end = await answer(pipeline, request)

    assert preview.usage.prompt_tokens == end.usage.prompt_tokens
    assert end.usage.image_tokens == end.images[0].image_tokens
    assert end.usage.text_tokens == len(["What?", '"""', "1", "Total", "41.50", '"""'])
    assert preview.images == tuple(replace(receipt, cache_hit=False) for receipt in end.images)


async def test_the_receipt_says_when_a_picture_has_more_text_than_the_model_was_given(pipeline: Pipeline) -> None:
    lines = [f"Item {number} of the delivery" for number in range(1, 12)]

    _, whole = await answer(pipeline, chat(image(page(*lines[:5])), "What?"))
    text, cut = await answer(pipeline, chat(image(page(*lines)), "What?"))

    given = cut.images[0].ocr_max_chars
    assert MOST - 30 < given <= MOST
    assert cut.images[0].actions[-1] == f"the model was given the first {given} characters of its text"
    assert lines[-1] not in text
    assert not [action for action in whole.images[0].actions if "characters" in action]


async def test_a_text_cut_where_a_line_ends_is_cut(
    pipeline: Pipeline, transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first_lines(_: GenerateRequest) -> AsyncGenerator[Delta, None]:
        yield Delta("a" * MOST + "\n")

    monkeypatch.setattr(transcriber, "generate", first_lines)

    _, end = await answer(pipeline, chat(image(page("Total")), "What?"))

    assert f"the model was given the first {MOST} characters of its text" in end.images[0].actions


async def test_a_picture_that_does_not_decode_is_called_by_its_number(pipeline: Pipeline) -> None:
    """One that goes to a model elsewhere as it came is decoded for the reader alone."""
    (image_,) = chat(image(picture()[:60])).images

    with pytest.raises(InvalidRequest, match="image 2 does not decode"):
        await pipeline._reader.read(image_, number=2, request_id="req_1", owner="key_1", max_chars=MOST)


async def test_a_picture_without_text_stands_alone(pipeline: Pipeline) -> None:
    text, end = await answer(pipeline, chat(image(picture()), "What?"))

    assert text == "[32x32] What?"
    assert end.images[0].ocr_max_chars == 0


async def test_a_picture_is_read_once_for_a_key_and_again_for_another(
    pipeline: Pipeline, transcriber: Transcriber
) -> None:
    request = chat(image(page("Gate 12")), "Which gate?")
    for owner in ("key_1", "key_1", "key_2"):
        text, _ = await answer(pipeline, request, owner)
        assert "Gate 12" in text

    assert transcriber.read == 2


async def test_long_text_ends_with_a_whole_line(pipeline: Pipeline) -> None:
    lines = [f"Line {number} of what stands on it" for number in range(12)]

    text, end = await answer(pipeline, chat(image(page(*lines))))

    read = text.split('"""')[1].strip("\n").split("\n")
    assert read == [f"{number} {line}" for number, line in enumerate(lines[: len(read)], 1)]
    assert MOST - len(lines[0]) <= end.images[0].ocr_max_chars <= MOST


async def test_a_model_that_wants_no_text_has_nothing_read(
    settings: Settings, build: Callable[..., Pipeline], transcriber: Transcriber
) -> None:
    plain = ScriptedEngine()
    await plain.start()

    text, _ = await answer(build(settings, plain, transcriber), chat(image(page("Gate 12"))))

    assert (text, transcriber.read) == ("[32x32]", 0)


async def test_without_a_transcriber_the_request_is_refused_and_says_which(
    settings: Settings, build: Callable[..., Pipeline], reading: ScriptedEngine
) -> None:
    pipeline = build(settings, reading)

    with pytest.raises(EngineUnavailable, match=r"read with paddleocr/.* load it"):
        await answer(pipeline, chat(image(page("Gate 12"))))
    assert (await answer(pipeline, chat("no picture")))[0] == "no picture"


def test_what_may_be_read_is_set_aside() -> None:
    request = chat(image(picture()), image(picture()), "What?")
    model, plain = (ScriptedEngine(ocr_max_chars=most)._info for most in (MOST, 0))

    more, less = (estimate(request, one, assumed_tokens=10).prompt_tokens for one in (model, plain))

    assert more - less == 2 * (2 * MOST) // 4
    elsewhere = changed(plain, upstream_ocr_chars=MOST)
    assert estimate(request, elsewhere, assumed_tokens=10).prompt_tokens == more


def test_what_is_only_estimated_leaves_a_stated_answer_no_less_room() -> None:
    model = changed(ScriptedEngine()._info, context_length=1000, characters_per_token=1)
    schema = {"type": "object", "properties": {"a" * 200: {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    long, asked = chat("word " * 180, max_tokens=600), chat("word", max_tokens=5, response_format=form)

    assert estimate(long, model, assumed_tokens=10).completion_tokens == 600
    assert estimate(asked, model, assumed_tokens=10).prompt_tokens > 200


@pytest.mark.parametrize("name", ["page", "receipt"])
@pytest.mark.parametrize("model_id", BUNDLED)
def test_what_is_set_aside_covers_what_a_model_that_spells_is_given(model_id: str, name: str) -> None:
    data, text = (EXAMPLES / f"{name}.{'png' if name == 'page' else 'jpg'}").read_bytes(), EXAMPLES / f"{name}.txt"
    content = [image(data), {"type": "text", "text": text.read_text(encoding="utf-8")}]
    request = parse_chat(raw(*content), partial(open_image, limits=ImageLimits()))

    (model,) = known_models([model_id])
    reserved = estimate(request, model.info, assumed_tokens=10).prompt_tokens
    told = sightline.estimate([data], messages=[{"role": "user", "content": content}], model=model_id)

    assert told.requests[0].input_tokens <= reserved <= 3 * told.requests[0].input_tokens


def test_messages_without_pictures_stay_as_they_are() -> None:
    messages = (Message("system", (TextPart("a"),)), Message("user", (ImagePart(0), TextPart("b"))))

    assert insert_page_texts(messages, [""]) == messages


def test_calls_and_results_of_tools_stay_beside_what_was_read() -> None:
    called = Message("assistant", (), (ToolCall(0, "call_1", "f", "{}"),))
    result = Message("tool", (TextPart("7"),), tool_call_id="call_1")

    assert insert_page_texts((Message("user", (ImagePart(0),)), called, result), ["Gate 12"])[1:] == (called, result)


async def test_no_more_pages_are_read_at_once_than_a_model_runs(pipeline: Pipeline, transcriber: Transcriber) -> None:
    requests = [chat(image(page(f"Gate {number}"))) for number in range(2 * DEFAULT_MAX_RUNNING)]

    reading = pipeline._reader.read
    told = await asyncio.gather(
        *(
            reading(request.images[0], number=1, request_id="req_1", owner="key_1", max_chars=MOST)
            for request in requests
        )
    )

    assert [one.text.split()[-1] for one in told] == [str(number) for number in range(2 * DEFAULT_MAX_RUNNING)]
    assert 1 < transcriber.most <= DEFAULT_MAX_RUNNING
