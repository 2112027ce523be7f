"""Evidence and lines beside an answer: read while the model runs, given at its end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace
from PIL import Image, ImageDraw, ImageFont

from sightline.core import ResponseFormat
from sightline.engines.pagetext.engine import TranscriptionEngine
from sightline.errors import EngineUnavailable
from sightline.pipeline.answer_evidence import ChoiceEvidence
from sightline.pipeline.run import Completed, Pipeline
from sightline.settings import Settings
from sightline.testing.scripted_engine import ScriptedEngine
from support.bodies import image
from support.pictures import encoded
from support.requests import chat, context, events

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


@pytest.fixture(scope="module")
async def transcriber() -> AsyncIterator[TranscriptionEngine]:
    engine = TranscriptionEngine(threads=2)
    await engine.start()
    yield engine
    await engine.stop()


Says = Callable[..., Awaitable[Pipeline]]


@pytest.fixture
def says(build: Callable[..., Pipeline], settings: Settings) -> Says:
    """Put a pipeline together whose model gives one answer to everything."""

    async def compose(answer: str, *more: TranscriptionEngine) -> Pipeline:
        engine = ScriptedEngine(answer=answer)
        await engine.start()
        return build(settings, engine, *more)

    return compose


def page(size_px: int = 30) -> bytes:
    paper = Image.new("RGB", (16 * size_px, 6 * size_px), "white")
    pen = ImageDraw.Draw(paper)
    for number, line in enumerate(("Invoice INV-20417", "Total 41.50")):
        pen.text((size_px, (1 + 2 * number) * size_px), line, "black", ImageFont.load_default(size_px))
    return encoded(paper)


async def completed(pipeline: Pipeline, *parts: Any, **more: Any) -> Completed:
    *_, last = await events(pipeline, replace(chat(*parts), **more))
    assert isinstance(last, Completed)
    return last


def summary(found: tuple[ChoiceEvidence, ...] | None) -> list[tuple[int, str, str]]:
    assert found is not None
    return [(one.choice, str(one.evidence.value), one.evidence.status) for one in found]


async def test_values_of_an_answer_are_looked_up_on_its_picture(says: Says, transcriber: TranscriptionEngine) -> None:
    pipeline = await says("INV-20417 comes to 41.50, less 9.99", transcriber)

    last = await completed(pipeline, image(page()), "What?", evidence=True)

    assert summary(last.evidence) == [(0, "INV-20417", "exact"), (0, "41.50", "exact"), (0, "9.99", "absent")]
    assert last.pages is None


async def test_boxes_are_of_the_picture_at_full_size(says: Says, transcriber: TranscriptionEngine) -> None:
    """The transcriber looks at a copy of 2,560 pixels along the longer side at most."""
    pipeline = await says("41.50", transcriber)

    boxes = []
    for size_px in (30, 240):
        last = await completed(pipeline, image(page(size_px)), "What?", evidence=True)
        assert last.evidence is not None
        assert last.evidence[0].evidence.place is not None
        boxes.append([side / size_px for side in last.evidence[0].evidence.place.box])

    assert boxes[0] == pytest.approx(boxes[1], abs=0.4)


async def test_each_of_several_answers_has_its_own(says: Says, transcriber: TranscriptionEngine) -> None:
    pipeline = await says("41.50", transcriber)

    last = await completed(pipeline, image(page()), "What?", evidence=True, n=2)

    assert summary(last.evidence) == [(0, "41.50", "exact"), (1, "41.50", "exact")]


async def test_field_of_a_schema_is_looked_up_by_its_title(says: Says, transcriber: TranscriptionEngine) -> None:
    pipeline = await says('{"t": 41.5}', transcriber)
    schema = json.dumps({"type": "object", "properties": {"t": {"type": "number", "title": "Total"}}})
    request = chat(image(page()), "What?")
    sampling = replace(request.sampling, response_format=ResponseFormat("json_schema", schema))

    last = await completed(pipeline, image(page()), "What?", evidence=True, sampling=sampling)

    assert summary(last.evidence) == [(0, "41.5", "normalised")]


async def test_lines_are_what_is_written_on_each_picture(says: Says, transcriber: TranscriptionEngine) -> None:
    pipeline = await says("yes", transcriber)

    last = await completed(pipeline, image(page()), "What?", lines=True)

    assert last.evidence is None
    assert last.pages is not None
    assert [line.text for line in last.pages[0].lines] == ["Invoice INV-20417", "Total 41.50"]


async def test_without_a_transcriber_it_is_refused_before_the_first_piece(says: Says) -> None:
    pipeline = await says("41.50")
    running = pipeline.run(replace(chat(image(page()), "What?"), evidence=True), context())

    with pytest.raises(EngineUnavailable, match="is not served here"):
        await anext(running)


async def test_nothing_is_read_where_nothing_was_asked(says: Says) -> None:
    pipeline = await says("41.50")

    last = await completed(pipeline, image(page()), "What?")

    assert (last.evidence, last.pages) == (None, None)


async def test_leaving_early_ends_the_reading(says: Says, transcriber: TranscriptionEngine) -> None:
    pipeline = await says("one two three", transcriber)
    running = pipeline.run(replace(chat(image(page()), "What?"), evidence=True), context())

    await anext(running)
    await running.aclose()

    assert pipeline.is_ready()
