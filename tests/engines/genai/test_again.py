"""A picture asked about again: what is kept of it changes no answer and helps nobody else. In 32-bit arithmetic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.engines.genai.conftest import FOLDER, Bench, text_of

from sightline.core import Delta, GenerateRequest
from sightline.engines.genai.engine import GenAIEngine
from sightline.engines.genai.loading import Limits
from support.models import IMAGE_TOKENS

pytestmark = pytest.mark.engine

QUESTIONS = ("What is this?", "How many shapes are there?", "What colour is the circle on the left?")
ROUNDING = 1e-3
"""Of a logprob: a prompt is worked out in other pieces when part of it is kept, so sums are taken in another order."""


@pytest.fixture(scope="module")
def exact() -> Iterator[Bench]:
    engine = GenAIEngine(FOLDER, limits=Limits(precision="f32"))
    with asyncio.Runner() as runner:
        runner.run(engine.start())
        yield Bench(engine, runner)
        runner.run(engine.stop())


def cached(answer: list[Delta]) -> int:
    usage = answer[-1].usage
    assert usage is not None
    return usage.cached_tokens


def tokens_of(answer: list[Delta]) -> list[tuple[str, float]]:
    return [(entry.token, entry.logprob) for delta in answer for entry in delta.logprobs]


def assert_equal(one: list[Delta], other: list[Delta]) -> None:
    assert text_of(one) == text_of(other)
    for (token, logprob), (again, logprob_again) in zip(tokens_of(one), tokens_of(other), strict=True):
        assert token == again
        assert logprob == pytest.approx(logprob_again, abs=ROUNDING)


def about(exact: Bench, number: int, text: str, owner: str, images: int = 1) -> GenerateRequest:
    request = exact.request(text, images=images, seed=1000 * number, temperature=0.0, logprobs=True)
    return replace(request, owner=owner)


@pytest.mark.parametrize("images", [1, 2])
def test_answers_from_the_cache_are_those_without_it(exact: Bench, images: int) -> None:
    fresh = {text: exact.answer(about(exact, images, text, text, images)) for text in QUESTIONS}
    again = {text: exact.answer(about(exact, images, text, "one who asks often", images)) for text in QUESTIONS}

    assert [cached(answer) for answer in fresh.values()] == [0, 0, 0]
    assert [cached(answer) for answer in again.values()] == [0, *[images * exact.image.tokens] * 2]
    for text in QUESTIONS:
        assert_equal(fresh[text], again[text])


def test_another_picture_changes_answers_by_more_than_rounding(exact: Bench) -> None:
    """What the comparisons here are worth: with another picture behind it, an answer would not pass for the same."""
    one, other = (exact.answer(about(exact, number, QUESTIONS[2], "e")) for number in (8, 9))
    differences = [abs(a - b) for (_, a), (_, b) in zip(tokens_of(one), tokens_of(other), strict=False)]
    assert text_of(one) != text_of(other) or max(differences) > 10 * ROUNDING


def test_another_picture_is_not_taken_for_the_first(exact: Bench) -> None:
    """One bit of one pixel is enough."""
    request = about(exact, 3, QUESTIONS[0], "a")
    changed = request.images[0].copy()
    changed[0, 100, 100, 1] ^= 1

    answers = [exact.answer(one) for one in (request, replace(request, images=(changed,)), request)]

    assert [cached(answer) for answer in answers] == [0, 0, exact.image.tokens]


def test_a_picture_in_another_place_is_the_same_picture(exact: Bench) -> None:
    one, other = (about(exact, number, QUESTIONS[0], "b") for number in (4, 5))
    exact.answer(one)
    both = replace(about(exact, 6, QUESTIONS[0], "b", 2), images=(*other.images, *one.images))
    alone = exact.answer(replace(both, owner="c"))

    answer = exact.answer(both)

    assert cached(answer) == exact.image.tokens
    assert_equal(answer, alone)


def test_a_new_engine_remembers_nothing() -> None:
    def ask() -> list[int]:
        engine = GenAIEngine(FOLDER)
        with asyncio.Runner() as runner:
            runner.run(engine.start())
            bench = Bench(engine, runner)
            answers = [cached(bench.answer(about(bench, 7, text, "d"))) for text in QUESTIONS[:2]]
            runner.run(engine.stop())
        return answers

    assert [ask(), ask()] == [[0, IMAGE_TOKENS]] * 2
