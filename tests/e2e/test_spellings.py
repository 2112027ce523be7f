"""Text that spells a control token or a placeholder is text, all the way through the API to the bundled model.

The judge is a control request in which the sender has broken the spelling with a space of no width, which is what
the service does itself: both must then be one and the same prompt, to the token, and get the same answer.
"""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from PIL import Image

from support.live import image, question, recitation
from support.models import BUNDLED_FOLDER
from support.pictures import BLUE, RED, encoded

pytestmark = pytest.mark.e2e

_TOKENIZER = BUNDLED_FOLDER / "tokenizer.json"
_PLACEHOLDERS = ("<ov_genai_image_0>", "<ov_genai_image_1>", "<ov_genai_video_0>")
_PLACEHOLDERS += ("<end_of_turn>\n<start_of_turn>model\n", "<<eos>", "<start_of_image><image_soft_token>")
FOREIGN = ("<|image_pad|>", "<|vision_start|>", "<|im_end|>", "<|eot_id|>", "<image>", "</s>", "[IMG]")
"""Of other models. To this one they are ordinary characters, and stay as they are."""


def own() -> list[str]:
    """Every control token of the model's own tokenizer, and the engine's own placeholders."""
    tokens = json.loads(_TOKENIZER.read_text())["added_tokens"] if _TOKENIZER.exists() else []
    return [*(token["content"] for token in tokens if token["content"].strip()), *_PLACEHOLDERS]


def split(spelling: str) -> str:
    """The same to a reader, with a space of no width after its first character."""
    return spelling.replace("<", "<\u200b").replace("<\u200b<", "<<")


def answer(http: httpx2.Client, *parts: dict[str, Any] | str) -> dict[str, Any]:
    """Have the model recite a sentence; its whole answer."""
    form = recitation("the end was not early")
    response = http.post("/v1/chat/completions", json=question(*parts, response_format=form, temperature=0))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    assert json.loads(body["choices"][0]["message"]["content"]) == "the end was not early"
    return body


@pytest.fixture(scope="module")
def red() -> dict[str, Any]:
    return image(encoded(Image.new("RGB", (40, 30), RED)))


@pytest.fixture(scope="module")
def blue() -> dict[str, Any]:
    return image(encoded(Image.new("RGB", (20, 50), BLUE)))


@pytest.mark.parametrize("spelling", own())
def test_spelling_in_a_question_about_two_images_is_text(
    http: httpx2.Client, red: dict[str, Any], blue: dict[str, Any], spelling: str
) -> None:
    seen = answer(http, f"a {spelling} b", red, spelling, blue, f"{spelling}?")
    control = answer(http, f"a {split(spelling)} b", red, split(spelling), blue, f"{split(spelling)}?")

    [first, second] = seen["sightline"]["images"]
    assert seen["usage"]["prompt_tokens_details"]["image_tokens"] == first["image_tokens"] + second["image_tokens"]
    assert (first["width"], second["width"]) == (40, 20)
    assert seen["usage"]["prompt_tokens"] == control["usage"]["prompt_tokens"]
    assert seen["choices"] == control["choices"]


@pytest.mark.parametrize("spelling", own())
def test_spelling_in_text_alone_makes_no_image(http: httpx2.Client, spelling: str) -> None:
    seen, control = answer(http, f"a {spelling} b"), answer(http, f"a {split(spelling)} b")

    assert seen["sightline"]["images"] == []
    assert seen["usage"]["prompt_tokens_details"]["image_tokens"] == 0
    assert seen["usage"]["prompt_tokens"] == control["usage"]["prompt_tokens"]
    assert seen["choices"] == control["choices"]


@pytest.mark.parametrize("spelling", FOREIGN)
def test_spelling_of_another_model_is_so_many_characters(
    http: httpx2.Client, red: dict[str, Any], spelling: str
) -> None:
    seen, control = answer(http, f"a {spelling} b", red), answer(http, "a  b", red)

    [receipt] = seen["sightline"]["images"]
    assert seen["usage"]["prompt_tokens_details"]["image_tokens"] == receipt["image_tokens"]
    assert seen["usage"]["prompt_tokens"] > control["usage"]["prompt_tokens"]


def test_all_spellings_at_once_in_every_role(http: httpx2.Client, red: dict[str, Any]) -> None:
    text = "".join((*own(), *FOREIGN))
    asked = question(red, text, response_format=recitation("the end was not early"), temperature=0)
    asked["messages"][:0] = [{"role": role, "content": text} for role in ("system", "developer", "user", "assistant")]

    response = http.post("/v1/chat/completions", json=asked)

    assert response.status_code == 200, response.text
    body = response.json()
    [receipt] = body["sightline"]["images"]
    assert body["usage"]["prompt_tokens_details"]["image_tokens"] == receipt["image_tokens"]
    assert body["choices"][0]["finish_reason"] == "stop"


def test_preview_counts_spellings_as_the_answer_does(http: httpx2.Client, red: dict[str, Any]) -> None:
    asked = question("<start_of_image>", red, "<image_soft_token>" * 9, max_tokens=1)

    preview = http.post("/v1/chat/completions/input_tokens", json=asked).json()
    usage = http.post("/v1/chat/completions", json=asked).json()["usage"]

    assert preview["input_tokens"] == usage["prompt_tokens"]
