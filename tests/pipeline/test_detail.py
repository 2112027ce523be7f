"""`detail` from the sender to the model: estimated, previewed and used are one figure; views stay in their place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openvino import Tensor

import sightline
from sightline.admission.admit import Admission
from sightline.admission.rate_limits.limiter import RateLimits
from sightline.app import compose
from sightline.client.models import KnownModel
from sightline.core import Detail, GenerateRequest, ImagePart, Message, SamplingParams, TextPart, ViewPixels
from sightline.engines.genai.engine import GenAIEngine
from sightline.engines.genai.loading import Limits, load
from sightline.engines.genai.model import read_model
from sightline.engines.genai.sampling import generation_config
from sightline.images.pool import ImagePool
from sightline.pipeline.run import Completed, Pipeline, Preview
from sightline.settings import BUNDLED, Settings
from support.bodies import image, text
from support.engines import answer
from support.models import IMAGE_TOKENS, SIDE_PX, with_pictures
from support.pictures import picture
from support.requests import chat, context, events

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

SMALL = {"pan_and_scan_min_crop_size": 64, "pan_and_scan_max_num_crops": 3, "pan_and_scan_min_ratio_to_activate": 1.5}
SIZES = {"wide": (400, 100), "tall": (100, 250), "square": (200, 200), "almost square": (200, 150)}
CROPS = {"wide": 3, "tall": 3, "square": 0, "almost square": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_pictures(tmp_path_factory.mktemp("models") / "closer", **SMALL)


@pytest.fixture(scope="module")
async def engine(folder: Path, anyio_backend: str) -> AsyncIterator[GenAIEngine]:
    engine = GenAIEngine(folder)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def pipeline(tmp_path: Path, engine: GenAIEngine, pool: ImagePool) -> Pipeline:
    return compose(Settings(data=tmp_path / "data"), [engine], pool, Admission(8, 0), RateLimits.open(), None)


async def preview_and_run(pipeline: Pipeline, *parts: dict[str, Any] | str) -> tuple[Preview, Completed]:
    model = pipeline.catalogue.models()[0].id
    request = chat(*parts, model=model, max_tokens=2)
    preview = await pipeline.preview(request, context())
    *_, last = await events(pipeline, request)
    assert isinstance(last, Completed)
    return preview, last


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("detail", ["low", "high", "auto"])
async def test_estimate_preview_and_usage_are_one_figure(
    pipeline: Pipeline, folder: Path, shape: str, detail: Detail
) -> None:
    data = picture("png", *SIZES[shape])
    content = [image(data, detail=detail), text("What is this?")]
    views = 1 + (CROPS[shape] if detail == "high" else 0)

    preview, last = await preview_and_run(pipeline, *content)
    told = sightline.estimate([data], messages=[{"role": "user", "content": content}], model=str(folder), detail=detail)

    assert preview.usage.prompt_tokens == last.usage.prompt_tokens == told.requests[0].input_tokens
    assert (
        preview.usage.image_tokens == last.usage.image_tokens == told.requests[0].image_tokens == views * IMAGE_TOKENS
    )
    taken = ("high" if views > 1 else "low", views, views * IMAGE_TOKENS)
    for one in (last.images[0], preview.images[0], told.images[0].models[0]):
        assert (one.detail, one.views, one.image_tokens) == taken


async def test_each_image_of_a_request_has_its_own_detail(pipeline: Pipeline) -> None:
    data = picture("png", 400, 100)

    _, last = await preview_and_run(pipeline, image(data, detail="high"), image(data, detail="low"), "What is this?")

    assert [(one.detail, one.views, one.image_tokens) for one in last.images] == [
        ("high", 4, 4 * IMAGE_TOKENS),
        ("low", 1, IMAGE_TOKENS),
    ]
    assert last.usage.image_tokens == 5 * IMAGE_TOKENS


async def test_model_with_pan_and_scan_on_takes_it_by_default(tmp_path: Path) -> None:
    folder = with_pictures(tmp_path / "closer", do_pan_and_scan=True, **SMALL)

    details: list[Detail] = ["auto", "low"]
    counts = [sightline.estimate([picture("png", 400, 100)], model=str(folder), detail=one) for one in details]

    assert [one.images[0].models[0].views for one in counts] == [4, 1]


def request(*images: ViewPixels, order: tuple[int, ...] = (0, 1)) -> GenerateRequest:
    parts = (*(ImagePart(index) for index in order), TextPart("What is this?"))
    tokens = IMAGE_TOKENS * sum(len(one) for one in images)
    sampling = SamplingParams(max_tokens=4, temperature=0.0, logprobs=True)
    return GenerateRequest("request", "m", (Message("user", parts),), images, sampling, tokens)


def noise(views: int, seed: int) -> ViewPixels:
    return np.random.default_rng(seed).integers(0, 255, (views, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)


async def test_views_stand_in_the_place_of_their_image(engine: GenAIEngine) -> None:
    """The same pictures in the same places are the same prompt, however the request numbers them; others are not."""
    one, other = noise(4, seed=1), noise(3, seed=2)

    plain, renumbered, exchanged, mixed = [
        [entry.logprob for delta in await answer(engine, work) for entry in delta.logprobs]
        for work in (
            request(one, other),
            request(other, one, order=(1, 0)),
            request(other, one),
            request(one[::-1], other),
        )
    ]

    assert plain == pytest.approx(renumbered, abs=1e-4)
    assert plain != pytest.approx(exchanged, abs=1e-4)
    assert plain != pytest.approx(mixed, abs=1e-4)


async def test_the_pipeline_counts_closer_views_as_we_do(engine: GenAIEngine, folder: Path) -> None:
    loaded = load(read_model(folder, max_context=2048), Limits(max_running=1))
    work = request(noise(4, seed=1), noise(1, seed=2))
    prompt = loaded.writer.write(work.messages, [4, 1])
    pictures = loaded.vision.encode([view for one in work.images for view in one])
    config = generation_config(SamplingParams(), max_tokens=1, eos_ids=frozenset({1}))

    handle = loaded.pipeline.add_request(0, prompt.tagged, [Tensor(one[np.newaxis]) for one in pictures], config)
    while loaded.pipeline.has_non_finished_requests():
        loaded.pipeline.step()

    assert handle.get_perf_metrics().get_num_input_tokens() == (await engine.count(work)).prompt_tokens


def test_bundled_model_has_no_closer_views_and_says_so() -> None:
    (alone,) = sightline.estimate([picture("png", 400, 100)], model=next(iter(BUNDLED)), detail="high").images

    assert KnownModel(next(iter(BUNDLED))).image.pan_and_scan is None
    assert (alone.models[0].detail, alone.models[0].views) == ("low", 1)
