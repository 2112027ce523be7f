"""What training takes for the transcriber's reading of a drawn picture is what the transcriber would read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np
from pictures import Glyph
from PIL import Image, ImageDraw, ImageFont
from reading import Stretch, box_of, junk, misread, read, slope_of
from served import Ask, prompt_of

from pagetext import Reader

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

    theirs = Reader.load(threads=2).page(np.asarray(image)).text
    ours = read(glyphs, SIZE, Sure())  # type: ignore[arg-type]

    assert ours.split("\n")[1] == "Rye bread\t3.20"
    assert SequenceMatcher(None, ours, theirs, autojunk=False).ratio() > 0.97


def test_names_of_pictograms_are_not_text() -> None:
    assert read([Glyph("bicycle", 0.5, 0.5, 0.1, 0.1)], SIZE, Sure()) == ""  # type: ignore[arg-type]


def test_digits_written_by_hand_are_misread_as_often_as_measured() -> None:
    rng = np.random.default_rng(4)
    written = [Glyph(digit, 0.1 + 0.1 * at, 0.5, 0.06, 0.2, by_hand=True) for at, digit in enumerate("4071")]
    printed = [replace(glyph, by_hand=False) for glyph in written]

    by_hand, in_print = ([read(glyphs, SIZE, rng) for _ in range(300)] for glyphs in (written, printed))

    assert 0.6 < sum(text == "4071" for text in by_hand) / 300 < 0.85
    assert any("4" in text and "0" in text and text != "4071" for text in by_hand)
    assert sum(text == "4071" for text in in_print) / 300 > 0.85


def test_a_reading_stands_behind_its_picture() -> None:
    view = np.zeros((8, 8, 3), np.uint8)

    prompt = prompt_of(Ask(((view,), (view,)), "How much?", readings=("Total\t9.00", "")))

    assert '<ov_genai_image_0>"""\n1 Total\t9.00\n"""<ov_genai_image_1>How much?' in prompt


def test_check_boxes_are_lost_as_often_as_the_transcriber_misses_them() -> None:
    rng = np.random.default_rng(5)

    made = [misread("Single □ Married ☑", rng) for _ in range(400)]

    assert 335 < sum("□" in one for one in made) < 383
    assert 340 < sum("☑" in one for one in made) < 386


def test_no_blank_is_read_before_a_colon() -> None:
    glyphs = [
        Glyph(character, at, 0.5, 0.02, 0.05) for character, at in zip("Tel:", (0.1, 0.13, 0.16, 0.2), strict=True)
    ]

    assert read(glyphs, SIZE, Sure()) == "Tel:"  # type: ignore[arg-type]


def test_blanks_are_read_where_they_were_written() -> None:
    wide, tight = Glyph("m", 0.12, 0.5, 0.02, 0.05, blank=False), Glyph("m", 0.12, 0.5, 0.02, 0.05, blank=True)
    letters = [Glyph("a", 0.08, 0.5, 0.005, 0.05), Glyph("b", 0.14, 0.5, 0.02, 0.05, blank=False)]

    texts = [read((letters[0], each, letters[1]), SIZE, Sure()) for each in (wide, tight)]

    assert texts == ["amb", "a mb"]


def test_a_level_line_of_high_and_low_letters_does_not_lean() -> None:
    shapes = {"l": (10.0, 40.0), "p": (20.0, 50.0), "a": (20.0, 40.0)}

    def lean(text: str, fall: float) -> float:
        edges = [shapes[letter] for letter in text]
        tops, ends = ([edge[side] + at * fall for at, edge in enumerate(edges)] for side in (0, 1))
        line = Stretch(text, 0.0, 20.0 * len(text), tops, ends, 30.0)
        (_, left), (_, right), _, _ = box_of(line, slope_of([line]))
        return right - left

    assert lean("llllaaaa", 0.0) == lean("aaaapppp", 0.0) == 0.0
    assert lean("llllaaaa", 5.0) > 20.0


def test_a_short_word_leans_as_its_page_does() -> None:
    long = Stretch("l" * 30, 0.0, 600.0, [10.0 + at for at in range(30)], [40.0 + at for at in range(30)], 30.0)
    short = Stretch("ab", 0.0, 40.0, [110.0, 111.0], [140.0, 141.0], 30.0)

    (_, left), (_, right), _, _ = box_of(short, slope_of([long, short]))

    assert 1.0 < right - left < 3.0


def test_mistakes_are_few_and_leave_tabs_alone() -> None:
    rng = np.random.default_rng(5)
    row = "Total\t10,50 lO"

    made = [misread(row, rng) for _ in range(500)]

    assert 400 < made.count(row) < 500
    assert all(one.count("\t") == 1 and len(row) - 2 <= len(one) <= len(row) for one in made)


def test_pictures_without_text_have_a_stray_sign_or_none() -> None:
    rng = np.random.default_rng(5)

    assert {len(junk(rng).split()) for _ in range(200)} == {0, 1, 2, 3}
