"""The engine on the bundled model: structural facts that hold for any weights."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from openvino import Tensor
from tests.engines.genai.conftest import FOLDER, Bench, collect, text_of

from sightline.core import Delta, ResponseFormat, SamplingParams, TextPart
from sightline.engines.catalogue import check
from sightline.engines.genai import create
from sightline.engines.genai.engine import GenAIEngine
from sightline.engines.genai.loading import Limits, Loaded, load
from sightline.engines.genai.model import read_model
from sightline.engines.genai.sampling import generation_config
from sightline.errors import (
    ConfigError,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    UnsupportedParameter,
)
from support.requests import chat

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def second(bench: Bench) -> Loaded:
    limits = Limits(max_running=2)
    return load(read_model(FOLDER, max_context=limits.max_context), limits)


def test_a_picture_and_a_question_are_answered(bench: Bench) -> None:
    deltas = bench.answer(bench.request(temperature=0.0))

    last = deltas[-1]
    assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert last.finish_reason in ("stop", "length")
    assert last.usage is not None
    assert last.usage.image_tokens == bench.image.tokens
    assert 1 <= last.usage.completion_tokens <= 16
    assert last.timings is not None
    assert min(last.timings.queue_s, last.timings.prefill_s, last.timings.decode_s) >= 0


def test_two_pictures_take_twice_the_image_tokens(bench: Bench) -> None:
    one, two = (bench.count(bench.request(images=number)) for number in (1, 2))

    assert two.image_tokens == 2 * one.image_tokens == 2 * bench.image.tokens
    assert two.prompt_tokens - one.prompt_tokens >= bench.image.tokens


def test_a_text_without_a_picture_is_answered(bench: Bench) -> None:
    (*_, last) = bench.answer(bench.request(images=0))

    assert last.usage is not None
    assert last.usage.image_tokens == 0


def test_max_tokens_ends_with_length(bench: Bench) -> None:
    form = ResponseFormat("json_schema", json.dumps({"type": "string", "minLength": 40}))

    (*_, last) = bench.answer(bench.request(max_tokens=3, response_format=form))

    assert last.finish_reason == "length"
    assert last.usage is not None
    assert last.usage.completion_tokens == 3


def test_greedy_answers_are_the_same_every_time(bench: Bench) -> None:
    request = bench.request(temperature=0.0)

    assert bench.text(request) == bench.text(request)


def test_a_seed_gives_the_same_answer_every_time(bench: Bench) -> None:
    request = bench.request("Write anything.", temperature=1000.0, max_tokens=24)
    seeded = replace(request, sampling=replace(request.sampling, seed=-7))

    assert bench.text(seeded) == bench.text(seeded)


@pytest.mark.parametrize("temperature", [1e-300, 1e-46, 1e-7])
def test_a_temperature_as_good_as_none_is_greedy(bench: Bench, temperature: float) -> None:
    greedy = bench.request("Write anything.", temperature=0.0, max_tokens=12)
    close = replace(greedy, sampling=replace(greedy.sampling, temperature=temperature))

    assert bench.text(close) == bench.text(greedy)


def test_answers_without_a_seed_differ(bench: Bench) -> None:
    # So hot that all tokens are about as likely: however sure a model is of its answer, two draws are not the same.
    request = bench.request("Write anything.", temperature=1000.0, max_tokens=24)

    assert bench.text(request) != bench.text(request)


def test_a_stop_string_ends_the_answer_before_it(bench: Bench) -> None:
    whole = bench.text(bench.request(temperature=0.0, max_tokens=24))
    middle = len(whole) // 2
    stop = whole[middle : middle + 3]

    deltas = bench.answer(bench.request(temperature=0.0, max_tokens=24, stop=(stop,)))

    assert text_of(deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"


def test_logprobs_name_every_token_of_the_text(bench: Bench) -> None:
    deltas = bench.answer(bench.request(temperature=0.0, logprobs=True))

    entries = [entry for delta in deltas for entry in delta.logprobs]
    assert b"".join(bytes(entry.bytes or ()) for entry in entries).decode(errors="replace") == text_of(deltas)
    assert all(entry.logprob <= 0 for entry in entries)


def test_alternatives_to_a_token_are_refused_by_name(bench: Bench) -> None:
    request = chat("What is this?", model=bench.info.id, logprobs=True, top_logprobs=3)

    with pytest.raises(UnsupportedParameter) as caught:
        check(request, bench.info)

    assert caught.value.param == "top_logprobs"


def test_many_at_once_give_the_answers_they_give_alone(bench: Bench) -> None:
    requests = [bench.request(f"Question {at}?", seed=at, temperature=0.0, max_tokens=8) for at in range(20)]
    alone = [bench.answer(request) for request in requests]

    async def together() -> list[list[Delta]]:
        return await asyncio.gather(*(collect(bench.engine.generate(request)) for request in requests))

    answers = bench.run(together())

    assert [answer[-1].usage.prompt_tokens for answer in answers] == [one[-1].usage.prompt_tokens for one in alone]
    assert [text_of(answer) for answer in answers] == [text_of(one) for one in alone]
    while bench.engine.load().running:
        bench.run(asyncio.sleep(0))
    assert bench.engine.load() == (0, 0)


def test_a_picture_of_the_wrong_size_is_our_error(bench: Bench) -> None:
    request = replace(bench.request(), images=(np.zeros((1, 8, 8, 3), np.uint8),))

    with pytest.raises(EngineError):
        bench.answer(request)


def test_another_count_of_image_tokens_than_promised_is_our_error(bench: Bench) -> None:
    with pytest.raises(EngineError):
        bench.answer(replace(bench.request(), image_tokens=bench.image.tokens + 1))


def test_a_picture_without_a_place_is_our_error(bench: Bench) -> None:
    request = bench.request(images=2)

    with pytest.raises(EngineError):
        bench.answer(replace(request, images=request.images[:1], image_tokens=bench.image.tokens))


SHAPE = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["light red", "dark blue"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "both": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2},
    },
    "required": ["colour", "count", "both"],
}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_in_json_conforms_to_its_schema(bench: Bench, temperature: float) -> None:
    form = ResponseFormat("json_schema", json.dumps(SHAPE))

    deltas = bench.answer(
        bench.request(temperature=temperature, max_tokens=400, frequency_penalty=0.5, response_format=form)
    )

    assert deltas[-1].finish_reason == "stop"
    jsonschema.validate(json.loads(text_of(deltas)), {**SHAPE, "additionalProperties": False})


NESTED = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "ab", "abc", "b", 1, 10, True, None]},
        "count": {"type": "integer", "minimum": -3, "maximum": 12},
        "note": {"type": ["string", "null"], "minLength": 1, "maxLength": 4},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 1, "maxItems": 3},
        "either": {"anyOf": [{"const": "x"}, {"$ref": "#/$defs/part"}]},
    },
    "required": ["kind", "parts"],
    "additionalProperties": False,
    "$defs": {
        "part": {
            "type": "object",
            "properties": {"size": {"enum": [1, 2, 30]}, "solid": {"type": "boolean"}},
            "required": ["solid"],
            "additionalProperties": False,
        }
    },
}


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_grammar_lets_through_conforms_to_its_schema(bench: Bench, seed: int) -> None:
    """So hot that every token which the grammar allows is about as likely: nothing else holds these answers."""
    form = ResponseFormat("json_schema", json.dumps(NESTED))
    request = bench.request(temperature=1000.0, max_tokens=1500, response_format=form)

    deltas = bench.answer(replace(request, sampling=replace(request.sampling, seed=seed)))

    assert deltas[-1].finish_reason == "stop"
    jsonschema.validate(json.loads(text_of(deltas)), NESTED)


def test_a_bad_schema_is_refused_before_anything_runs(bench: Bench) -> None:
    form = ResponseFormat("json_schema", '{"type": "object", "patternProperties": {}}')

    with pytest.raises(InvalidRequest) as caught:
        bench.answer(bench.request(response_format=form))

    assert caught.value.param == "response_format.json_schema.schema"


async def leave_after(deltas: AsyncGenerator[Delta, None], pieces: int) -> None:
    for _ in range(pieces):
        await anext(deltas)
    await deltas.aclose()


def long(bench: Bench) -> AsyncGenerator[Delta, None]:
    """A request that certainly goes on for hundreds of steps."""
    form = ResponseFormat("json_schema", json.dumps({"type": "array", "items": {"const": "x"}, "minItems": 900}))
    return bench.engine.generate(bench.request(max_tokens=900, temperature=1.0, response_format=form))


def test_leaving_in_decode_frees_the_slot_within_one_step(bench: Bench) -> None:
    async def scene() -> tuple[int, int]:
        await leave_after(long(bench), 3)
        left_at = bench.steps
        while bench.engine.load().running:
            await asyncio.sleep(0)
        return bench.steps - left_at, bench.engine.load().running

    steps, running = bench.run(scene())

    assert steps <= 1
    assert running == 0


def test_leaving_in_the_queue_or_in_prefill_frees_the_place(bench: Bench) -> None:
    async def scene() -> None:
        others = [asyncio.create_task(leave_after(long(bench), 400)) for _ in range(16)]
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(collect(long(bench))) for _ in range(4)]
        while bench.engine.load() != (16, 4):  # on its way from one to the other a job is counted in neither
            await asyncio.sleep(0.001)
        for task in [*waiting, *others]:
            task.cancel()
        await asyncio.gather(*waiting, *others, return_exceptions=True)
        assert bench.engine.load().waiting == 0
        before = bench.steps
        while bench.engine.load().running:
            await asyncio.sleep(0)
        # The one under way when the last left, and the one that lets all sixteen go.
        assert bench.steps - before <= 2
        assert bench.engine.load() == (0, 0)

    bench.run(scene())


def test_others_go_on_when_one_leaves(bench: Bench) -> None:
    async def scene() -> list[Delta]:
        form = ResponseFormat("json_schema", json.dumps({"type": "string", "minLength": 30}))
        request = bench.request(max_tokens=30, response_format=form)
        staying = asyncio.create_task(collect(bench.engine.generate(request)))
        await leave_after(long(bench), 2)
        return await staying

    last = bench.run(scene())[-1]

    assert last.finish_reason == "length" or last.usage.completion_tokens > 1


NASTY = [
    "<ov_genai_image_0>",
    "<ov_genai_video_0>",
    *(f"<{name}>" for name in ("bos", "eos", "pad", "unk", "start_of_turn", "end_of_turn", "start_of_image")),
    *("<end_of_image>", "<image_soft_token>", "<|image_pad|>", "<|vision_start|>", "<start_of_", "turn>", "<", ">"),
]
nasty_texts = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=6)), max_size=12).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=nasty_texts)
def test_no_text_becomes_a_control_token_or_an_image(bench: Bench, text: str) -> None:
    text = text.encode("utf-8", errors="replace").decode()
    plain = bench.count(bench.request(""))

    # Counting compares every control token with the template's, and raises when one is too many or misplaced.
    usage = bench.count(bench.request(text))

    assert usage.image_tokens == bench.image.tokens
    assert usage.prompt_tokens >= plain.prompt_tokens


@pytest.mark.parametrize("text", ["a", "<ov_genai_image_0><end_of_turn><start_of_image>" * 3, "", "  \n\n é😀\x00"])
def test_the_pipeline_counts_as_we_do(bench: Bench, second: Loaded, text: str) -> None:
    request = bench.request(text, images=2)
    prompt = second.writer.write(request.messages, [1, 1])
    config = generation_config(SamplingParams(), max_tokens=1, eos_ids=frozenset({1}))
    images = [Tensor(picture[np.newaxis]) for picture in second.vision.encode([image[0] for image in request.images])]

    handle = second.pipeline.add_request(0, prompt.tagged, images, config)
    while second.pipeline.has_non_finished_requests():
        second.pipeline.step()

    counted = bench.count(request).prompt_tokens
    assert handle.get_perf_metrics().get_num_input_tokens() == counted


def test_placeholder_text_costs_little_and_is_answered(bench: Bench) -> None:
    plain, spelled = bench.request("What is it?"), bench.request("What is it? <image_soft_token><end_of_turn>")

    (*_, last) = bench.answer(spelled)

    assert last.usage is not None
    assert last.usage.prompt_tokens - bench.count(plain).prompt_tokens < 48


def test_too_many_waiting_are_refused() -> None:
    async def scene() -> None:
        engine = GenAIEngine(FOLDER, limits=Limits(max_queued=0))
        await engine.start()
        try:
            with pytest.raises(EngineOverloaded):
                await anext(engine.generate(None))  # type: ignore[arg-type]
        finally:
            await engine.stop()

    asyncio.run(scene())


def test_stopping_ends_running_answers_with_unavailable(bench: Bench) -> None:
    async def scene() -> None:
        engine = create(str(FOLDER), "a/b", max_running=2)
        assert engine.models() == ()
        await engine.start()
        assert [info.id for info in engine.models()] == ["a/b"]
        deltas = engine.generate(bench.request(max_tokens=1500, temperature=1.0))
        await anext(deltas)
        await engine.stop()
        with pytest.raises(EngineUnavailable):
            await collect(deltas)
        await engine.stop()
        assert engine.models() == ()
        with pytest.raises(EngineUnavailable):
            await engine.count(bench.request())
        with pytest.raises(EngineUnavailable):
            await anext(engine.generate(bench.request()))

    asyncio.run(scene())


def test_a_missing_folder_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        asyncio.run(GenAIEngine(tmp_path / "none").start())


def test_text_parts_are_not_stripped_of_meaning(bench: Bench) -> None:
    request = bench.request("a")
    message = replace(request.messages[0], parts=(*request.messages[0].parts, TextPart("b")))

    both = bench.count(replace(request, messages=(message,)))

    assert both.prompt_tokens > bench.count(request).prompt_tokens
