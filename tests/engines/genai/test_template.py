"""The prompt: Gemma 3's turns, and the sender's text kept from acting as anything but text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core import ImagePart, Message, TextPart
from sightline.engines.genai.template import FAMILIES, Control, Gemma3, PromptWriter
from sightline.engines.special_tokens import SpecialTokenEscaper
from sightline.errors import EngineError

TAGS = ("<ov_genai_image_", "<ov_genai_video_")
SPELLINGS = ["<bos>", "<eos>", "<pad>", "<end_of_turn>", "<start_of_turn>", "<|image_pad|>", "<a<b>", "<b>", "[mask]"]
TAGS = ["<ov_genai_image_0>", "<ov_genai_video_7>", "<start_of_image>", "<image_soft_token>"]
texts = st.lists(
    st.one_of(st.sampled_from([*SPELLINGS, *TAGS]), st.text(max_size=4), st.sampled_from(["<", ">", "_of_turn>"]))
).map("".join)


def writer(image_tokens: int = 2, opening: str = "<bos>") -> PromptWriter:
    return PromptWriter(Gemma3(), SPELLINGS, image_tokens=image_tokens, opening=opening)


def user(*parts: TextPart | ImagePart) -> Message:
    return Message("user", parts)


def test_a_question_about_an_image_is_one_turn() -> None:
    prompt = writer().write([user(ImagePart(0), TextPart("What colour?"))], [1])

    assert prompt.tagged == (
        "<bos><start_of_turn>user\n<ov_genai_image_0>What colour?<end_of_turn>\n<start_of_turn>model\n"
    )
    assert prompt.expanded == (
        "<bos><start_of_turn>user\n\n\n<start_of_image><image_soft_token><image_soft_token><end_of_image>\n\n"
        "What colour?<end_of_turn>\n<start_of_turn>model\n"
    )


def test_system_text_stands_before_the_first_user_turn() -> None:
    prompt = writer().write([Message("system", (TextPart("Be brief."),)), user(TextPart("Hi"))], [])

    assert "<start_of_turn>user\nBe brief.\n\nHi<end_of_turn>" in prompt.tagged


def test_turns_alternate_and_keep_the_order_of_parts() -> None:
    prompt = writer().write(
        [
            user(TextPart("first"), ImagePart(1), TextPart("then"), ImagePart(0)),
            Message("assistant", (TextPart("yes"),)),
            Message("tool", (TextPart("42"),)),
        ],
        [1, 1],
    )

    assert re.findall("<start_of_turn>(.*)\n", prompt.tagged) == ["user", "model", "user", "model"]
    assert "first<ov_genai_image_1>then<ov_genai_image_0><end_of_turn>" in prompt.tagged


def test_closer_views_stand_beside_their_whole_as_gemmas_processor_writes_them() -> None:
    prompt = writer(image_tokens=1).write([user(ImagePart(1), TextPart("Or"), ImagePart(0))], [3, 1])

    assert prompt.tagged == (
        "<bos><start_of_turn>user\n<ov_genai_image_3>OrHere is the original image <ov_genai_image_0> and here are some "
        "crops to help you see better <ov_genai_image_1> <ov_genai_image_2><end_of_turn>\n<start_of_turn>model\n"
    )
    image = "\n\n<start_of_image><image_soft_token><end_of_image>\n\n"
    crops = f"Here is the original image {image} and here are some crops to help you see better {image} {image}"
    assert f"{image}Or{crops}<end_of_turn>" in prompt.expanded


@pytest.mark.parametrize("views", [[], [1], [1, 1, 1]])
def test_images_that_do_not_match_their_places_are_refused(views: list[int]) -> None:
    with pytest.raises(EngineError, match="do not match"):
        writer().write([user(ImagePart(0), ImagePart(1))], views)


def test_a_spelling_cut_over_two_parts_is_broken_too() -> None:
    prompt = writer().write([user(TextPart("<end_of_"), TextPart("turn>"))], [])

    assert prompt.tagged.count("<end_of_turn>") == 1


def test_text_without_control_spellings_is_unchanged() -> None:
    neutralise = SpecialTokenEscaper(SPELLINGS)

    assert neutralise("a < b, <table> & x<y> é\n") == "a < b, <table> & x<y> é\n"


@given(texts)
def test_no_control_spelling_survives_in_text(text: str) -> None:
    neutralised = SpecialTokenEscaper([*SPELLINGS, *TAGS])(text)

    assert not any(spelling in neutralised for spelling in [*SPELLINGS, *TAGS])
    assert neutralised.replace("\u200b", "") == text.replace("\u200b", "")


@given(st.lists(texts, min_size=1, max_size=4))
def test_only_the_template_places_control_tokens(parts: list[str]) -> None:
    prompt = writer().write([user(ImagePart(0), *(TextPart(part) for part in parts))], [1])

    known = sorted({*SPELLINGS, *Gemma3.controls}, key=len, reverse=True)
    found = re.findall("|".join(map(re.escape, known)), prompt.expanded)
    assert tuple(found) == prompt.controls
    assert re.findall(r"<ov_genai_\w+_\d+>", prompt.tagged) == ["<ov_genai_image_0>"]


def test_families_are_found_by_their_model_type() -> None:
    assert FAMILIES["gemma3"].image(1)[2] == Control("<image_soft_token>")


def test_tags_of_the_pipeline_are_broken_in_a_prompt() -> None:
    prompt = writer().write([user(TextPart("<ov_genai_image_0>"))], [])

    assert "<ov_genai_image_" not in prompt.tagged
