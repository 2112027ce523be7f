"""What training takes for the transcriber's reading of a drawn picture is what the transcriber would read."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import pytest
import reading
from pictures import Glyph
from PIL import Image, ImageDraw, ImageFont
from reading import junk, misread, quoted, read
from served import Ask, prompt_of

from sightline.core import ImagePart, Message, TextPart
from sightline.engines.transcribe.networks import Networks, weights_folder
from sightline.engines.transcribe.reader import transcribe
from sightline.reading import beside
from sightline.reading import whole_lines as cut_by_the_service

SIZE = (640, 480)
RECEIPT = [
    (40, 30, 28, "Corner Bakery"),
    (40, 100, 22, "Rye bread"),
    (460, 100, 22, "3.20"),
    (40, 150, 22, "Two coffees"),
    (460, 150, 22, "5.80"),
    (40, 230, 22, "Total"),
    (460, 230, 22, "9.00"),
    (40, 330, 22, "Paid by card on 12 May"),
]


@dataclass(frozen=True, slots=True)
class Sure:
    """A generator of chances that are never met."""

    def random(self, size: int | None = None) -> object:
        return 1.0 if size is None else np.ones(size)

    def choice(self, options: list[int], p: list[float]) -> int:
        return options[int(np.argmax(p))]


def drawn() -> tuple[Image.Image, tuple[Glyph, ...]]:
    """A receipt, and where its characters stand."""
    paper = Image.new("RGB", SIZE, "white")
    pen = ImageDraw.Draw(paper)
    glyphs = []
    for left, top, size, text in RECEIPT:
        font = ImageFont.load_default(size)
        pen.text((left, top), text, "black", font)
        for at, character in enumerate(text):
            if not character.isspace():
                x = left + font.getlength(text[:at])
                box = font.getbbox(character)
                wide, high = (box[2] - box[0]) / SIZE[0], (box[3] - box[1]) / SIZE[1]
                middle = ((x + (box[0] + box[2]) / 2) / SIZE[0], (top + (box[1] + box[3]) / 2) / SIZE[1])
                glyphs.append(Glyph(character, *middle, wide, high))
    return paper, tuple(glyphs)


def test_a_drawn_page_is_read_as_the_transcriber_reads_it() -> None:
    image, glyphs = drawn()
    networks = Networks(weights_folder(), threads=2, precision=None)

    theirs = transcribe(networks, np.asarray(image))
    ours = read(glyphs, SIZE, Sure())  # type: ignore[arg-type]

    assert ours.split("\n")[1] == "Rye bread\t3.20"
    assert SequenceMatcher(None, ours, theirs, autojunk=False).ratio() > 0.97


def test_names_of_pictograms_are_not_text() -> None:
    assert read([Glyph("bicycle", 0.5, 0.5, 0.1, 0.1)], SIZE, Sure()) == ""  # type: ignore[arg-type]


def test_a_reading_stands_in_the_prompt_as_the_service_puts_it() -> None:
    messages = (Message("user", (ImagePart(0), TextPart("How much?"))),)
    view = np.zeros((8, 8, 3), np.uint8)

    (message,) = beside(messages, ["Total\t9.00"])

    assert message.parts[1] == TextPart(quoted("Total\t9.00"))
    prompt = prompt_of(Ask(((view,), (view,)), "How much?", readings=("Total\t9.00", "")))
    assert '<ov_genai_image_0>"""\nTotal\t9.00\n"""<ov_genai_image_1>How much?' in prompt


@pytest.mark.parametrize("most", [1, 3, 4, 7, 20])
def test_a_reading_is_cut_as_the_service_cuts_it(most: int) -> None:
    text = "abc\ndef\nghi"

    assert reading.whole_lines(text, most) == cut_by_the_service(text, most)


def test_mistakes_are_few_and_leave_tabs_alone() -> None:
    rng = np.random.default_rng(5)
    row = "Total\t10,50 lO"

    made = [misread(row, rng) for _ in range(500)]

    assert 400 < made.count(row) < 500
    assert all(one.count("\t") == 1 and len(row) - 2 <= len(one) <= len(row) for one in made)


def test_pictures_without_text_have_a_stray_sign_or_none() -> None:
    rng = np.random.default_rng(5)

    assert {len(junk(rng).replace("\n", "")) for _ in range(200)} == {0, 1, 2, 3}
