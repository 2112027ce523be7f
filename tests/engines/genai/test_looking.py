"""Pictures on their way through the stepping thread: encoded in batches, once for all requests of who sent them."""

from __future__ import annotations

from itertools import chain

from tests.engines.genai.fake import Pipeline, Vision, cached_tokens, job, outcome, run

from sightline.engines.genai.encoder_cache import EncoderCache
from sightline.engines.genai.pipeline import Capacity, EngineLoop
from sightline.errors import EngineError


def test_pictures_that_wait_together_are_encoded_together_and_stay_with_their_request() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        jobs = [job("0", images=[1]), job("1", images=[2, 3]), job("2"), job("3", images=[4])]
        for one in jobs:
            engine_loop.submit(one)

        assert [await outcome(one) for one in jobs] == ["aaa"] * 4
        assert pipeline.added == ["0", "1", "2", "3"]
        assert pipeline.shown == [[101], [102, 103], [], [104]]

    run(scene, vision=vision)

    # What came in before the thread first looked is one batch; never more than make a batch.
    assert list(chain.from_iterable(vision.batches)) == [1, 2, 3, 4]
    assert max(map(len, vision.batches)) <= Vision.most_at_once


def test_views_of_one_request_beyond_a_batch_wait_for_the_next_step() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        jobs = [job("0", images=[1, 2, 3, 4, 5, 6, 7]), job("1", images=[8])]
        for one in jobs:
            engine_loop.submit(one)

        assert [await outcome(one) for one in jobs] == ["aaa"] * 2
        assert pipeline.shown == [[101, 102, 103, 104, 105, 106, 107], [108]]

    run(scene, vision=vision)

    assert list(chain.from_iterable(vision.batches)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert max(map(len, vision.batches)) == Vision.most_at_once


def test_pictures_of_more_requests_than_may_run_wait_unencoded() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, _: Pipeline) -> None:
        running, left = job(length=10_000), job(images=[1])
        engine_loop.submit(running)
        await running.events.get()
        engine_loop.submit(left)
        await running.events.get()
        engine_loop.cancel(left)
        engine_loop.cancel(running)
        last = job(images=[2])
        engine_loop.submit(last)

        assert await outcome(last) == "aaa"

    run(scene, Capacity(running=1, step_tokens=1000, blocks=1000), vision)

    assert vision.batches == [[2]]


def test_a_request_with_more_pictures_than_a_batch_is_encoded_all_the_same() -> None:
    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        wide = job(images=[1, 2, 3, 4])
        engine_loop.submit(wide)

        assert await outcome(wide) == "aaa"
        assert pipeline.shown == [[101, 102, 103, 104]]

    run(scene)


def test_pictures_that_cannot_be_encoded_fail_their_requests_alone() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        vision.fails = True
        bad, text = job("bad picture", images=[1]), job("text")
        engine_loop.submit(bad)
        engine_loop.submit(text)
        error = await outcome(bad)
        assert isinstance(error, EngineError)
        assert "secret" not in error.message
        assert await outcome(text) == "aaa"

        vision.fails = False
        later = job("later", images=[2])
        engine_loop.submit(later)
        assert await outcome(later) == "aaa"
        assert pipeline.added == ["text", "later"]

    run(scene, vision=vision)


def test_a_picture_is_encoded_once_for_all_requests_of_its_sender() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        cached = []
        for images in ([1], [1], [2, 1, 3], [3, 2]):
            one = job(images=images)
            engine_loop.submit(one)
            cached.append(await cached_tokens(one))

        assert cached == [0, 9, 9, 18]
        assert pipeline.shown == [[101], [101], [102, 101, 103], [103, 102]]

    run(scene, vision=vision)

    assert list(chain.from_iterable(vision.batches)) == [1, 2, 3]


def test_a_picture_that_waits_twice_is_encoded_once_and_none_of_it_counts_as_cached() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        twins = [job(length=500), job(images=[1, 1]), job(images=[1])]
        for one in twins:
            engine_loop.submit(one)

        assert [await cached_tokens(one) for one in twins[1:]] in ([0, 0], [0, 9])
        assert pipeline.shown == [[], [101, 101], [101]]

    run(scene, vision=vision)

    assert vision.batches == [[1]]


def test_what_one_key_sent_makes_no_request_of_another_faster() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, _: Pipeline) -> None:
        for owner in ("one", "other", ""):
            asked = job(images=[1], owner=owner)
            engine_loop.submit(asked)
            assert await cached_tokens(asked) == 0

    run(scene, vision=vision)

    assert vision.batches == [[1], [1], [1]]


def test_without_room_for_features_every_picture_is_encoded() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, _: Pipeline) -> None:
        for _ in range(2):
            asked = job(images=[1])
            engine_loop.submit(asked)
            assert await cached_tokens(asked) == 0

    run(scene, vision=vision, encoder_cache=EncoderCache(0))

    assert vision.batches == [[1], [1]]


def test_pictures_that_fail_are_not_kept() -> None:
    vision = Vision()

    async def scene(engine_loop: EngineLoop, _: Pipeline) -> None:
        vision.fails = True
        bad = job(images=[1])
        engine_loop.submit(bad)
        assert isinstance(await outcome(bad), EngineError)

        vision.fails = False
        again = job(images=[1])
        engine_loop.submit(again)
        assert await cached_tokens(again) == 0

    run(scene, vision=vision)
