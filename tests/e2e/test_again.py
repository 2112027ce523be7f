"""The second question about a picture, through the whole service: what it reports, who it helps, what happens after."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import numpy as np
import pytest
from openai import OpenAI
from PIL import Image

from sightline.auth.keys import Keys
from sightline.core import NewKey
from sightline.store.database import Database
from sightline.testing.live_server import LiveServer
from support.live import PEEK, engine_process, image, question, wait_for
from support.models import IMAGE_TOKENS
from support.pictures import encoded

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]


def noise(seed: int) -> dict[str, Any]:
    """A picture that nothing else here sends."""
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    return image(encoded(Image.fromarray(pixels), "png"))


def ask(client: OpenAI, *parts: Any) -> Any:
    return client.chat.completions.create(**question(*parts, max_tokens=4, temperature=0))


def cached(answer: Any) -> int:
    count: int = answer.usage.prompt_tokens_details.cached_tokens
    return count


def counted(http: httpx2.Client) -> float:
    """The image tokens from the cache that `/metrics` shows."""
    line = re.search(
        rf'^sightline_tokens_total{{kind="cached",model="{PEEK}"}} (\S+)$', http.get("/metrics").text, re.M
    )
    return float(line[1]) if line else 0.0


def test_the_second_question_says_what_came_from_the_cache_and_costs_the_same(
    openai: OpenAI, http: httpx2.Client
) -> None:
    before = counted(http)

    first, second = ask(openai, noise(1), "What is this?"), ask(openai, noise(1), "How many are there?")

    assert [cached(first), cached(second)] == [0, IMAGE_TOKENS]
    assert [one.usage.prompt_tokens_details.image_tokens for one in (first, second)] == [IMAGE_TOKENS] * 2
    assert [one.model_extra["sightline"]["images"][0]["cache_hit"] for one in (first, second)] == [False, True]
    assert counted(http) - before == IMAGE_TOKENS


def test_several_answers_look_at_a_picture_once(openai: OpenAI) -> None:
    asked = question(noise(2), "What is this?", max_tokens=4, temperature=0, n=3)

    answer = openai.chat.completions.create(**asked)

    assert len({choice.message.content for choice in answer.choices}) == 1


def test_another_key_is_helped_by_nothing_that_the_first_one_sent(service: LiveServer, openai: OpenAI) -> None:
    database = Database.in_folder(service.data)
    key = Keys(database).create(NewKey("another"))[1]
    database.close()
    ask(openai, noise(3), "What is this?")

    with OpenAI(base_url=service.base_url, api_key=key, max_retries=0) as other:
        answers = [ask(other, noise(3), "What is this?") for _ in range(2)]

    assert [cached(answer) for answer in answers] == [0, IMAGE_TOKENS]
    assert answers[0].model_extra["sightline"]["images"][0]["cache_hit"] is False


def test_an_engine_that_was_started_again_looks_at_the_picture_again(
    service: LiveServer, openai: OpenAI, http: httpx2.Client
) -> None:
    asked = (noise(4), "What is this?")
    before = [ask(openai, *asked), ask(openai, *asked)]

    engine_process(service, "genai").kill()
    wait_for(lambda: http.get("/health/ready").status_code != 200)
    wait_for(lambda: http.get("/health/ready").status_code == 200)
    after = [ask(openai, *asked), ask(openai, *asked)]

    assert [cached(answer) for answer in (*before, *after)] == [0, IMAGE_TOKENS] * 2
    assert len({answer.choices[0].message.content for answer in (*before, *after)}) == 1
