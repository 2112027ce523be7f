"""No spelling of a control token survives, wherever a sender puts it."""

from __future__ import annotations

import pytest

from sightline.core import ImagePart, Message, TextPart
from sightline.engines.special_tokens import ZERO_WIDTH_SPACE
from sightline.engines.upstream.escaping import SPELLINGS, MessageEscaper

FAMILIES = (
    *sorted(SPELLINGS),
    *("<|im_start|>", "<|vision_start|>", "<|image_pad|>", "<|image_1|>", "<|turn>", "<turn|>", "<image|>"),
    *("<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<unused12>", "<loc0001>", "<extra_id_3>", "<row_1_col_2>"),
)


def texts(*parts: TextPart | ImagePart) -> list[str]:
    (message,) = MessageEscaper(("~~mine~~",)).messages([Message("user", parts)])
    return [part.text for part in message.parts if isinstance(part, TextPart)]


@pytest.mark.parametrize("spelling", [*FAMILIES, "~~mine~~"])
def test_spelling_is_broken_and_nothing_else_changes(spelling: str) -> None:
    (text,) = texts(TextPart(f"a {spelling} b"))

    assert spelling not in text
    assert text.replace(ZERO_WIDTH_SPACE, "") == f"a {spelling} b"


@pytest.mark.parametrize("at", range(1, 13))
def test_spelling_across_parts_is_broken_however_they_are_joined(at: int) -> None:
    spelling = "<end_of_turn>"
    one, other = texts(TextPart(spelling[:at] + " "), TextPart("\n" + spelling[at:]))

    assert spelling not in one.strip() + other.strip()
    assert spelling not in one + other


def test_ordinary_text_is_left_alone() -> None:
    plain = "x < y, 3 <= 4 |> f, <p>html</p> <b>, a[0] [see] <<EOF"

    assert texts(TextPart(plain), ImagePart(0), TextPart(plain)) == [plain, plain]


def test_half_a_surrogate_pair_is_replaced() -> None:
    assert texts(TextPart("a\ud800b")) == ["a?b"]
