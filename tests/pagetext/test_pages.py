"""The transcriber on twenty pages of mixed layout: characters, line breaks, tabs and the order of it all."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from bench.pages import Page, edits
from pagetext import Reader
from pagetext.types import Pixels
from support.mixed_pages import make_mixed

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    return {page.name: page for page in make_mixed(seed=20)}


def test_twenty_mixed_pages_are_read_in_order_almost_without_error(reader: Reader, pages: dict[str, Page]) -> None:
    """The promise is 2 %; line breaks and tabs count. The bar is what is reached, with room for another machine."""
    wrong = {name: edits(page.text, reader.page(page.pixels).text, with_layout=True) for name, page in pages.items()}

    assert sum(wrong.values()) / sum(len(page.text) for page in pages.values()) < 0.005, wrong


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["article tilted", "open table tilted"])
def test_a_page_that_is_turned_and_tilted_reads_the_same(
    reader: Reader, pages: dict[str, Page], name: str, quarters: int
) -> None:
    page = pages[name]
    turned = np.ascontiguousarray(np.rot90(page.pixels, quarters))

    assert edits(page.text, reader.page(turned).text, with_layout=True) / len(page.text) < 0.01


def test_rows_of_a_table_have_as_many_cells_as_its_head(reader: Reader, pages: dict[str, Page]) -> None:
    page = pages["open table"]

    table = [line for line in reader.page(page.pixels).text.split("\n") if "\t" in line]

    assert [line.count("\t") for line in table] == [4] * 12


def chart(colour: str) -> Pixels:
    paper = Image.new("RGB", (720, 480), "white")
    pen, face = ImageDraw.Draw(paper), ImageFont.load_default(30)
    for number, (label, value) in enumerate((("Apples", 41), ("Pears", 67), ("Plums", 23), ("Figs", 54))):
        middle, top = 130 + 151 * number, 398 - 4.4 * value
        pen.rectangle((middle - 40, top, middle + 40, 398), fill=colour)
        pen.text((middle, top - 20), str(value), "black", face, anchor="mm")
        pen.text((middle, 432), label, "black", face, anchor="mm")
    return np.asarray(paper)


def test_the_values_of_a_chart_stand_beside_their_labels(reader: Reader) -> None:
    assert reader.page(chart("aliceblue")).text == "Apples\t41\nPears\t67\nPlums\t23\nFigs\t54"


def test_bars_are_not_taken_for_text_on_its_side(reader: Reader) -> None:
    """The detector takes three of these bars for text and loses values beside them; the labels stay level."""
    assert reader.page(chart("steelblue")).text.split("\n")[-1] == "Apples\tPears\tPlums\tFigs"


SEGMENTS = {"0": "abcdef", "2": "abged", "3": "abgcd", "5": "afgcd", "8": "abcdefg", ":": ":"}
"""Which of the seven are lit: `a` on top, then round with the clock, `g` in the middle."""
BARS = {
    "a": [(6, -4, 28, 4)],
    "b": [(30, 6, 38, 31)],
    "c": [(30, 43, 38, 68)],
    "d": [(6, 70, 28, 78)],
    "e": [(-4, 43, 4, 68)],
    "f": [(-4, 6, 4, 31)],
    "g": [(6, 33, 28, 41)],
    ":": [(14, 18, 21, 25), (14, 48, 21, 55)],
}


def display(text: str) -> Pixels:
    """Draw a display of seven segments, dark on a greenish glass that fills a part of the picture."""
    paper = Image.new("RGB", (500, 400), "white")
    pen = ImageDraw.Draw(paper)
    pen.rounded_rectangle((40, 200, 60 + 62 * len(text), 320), 8, fill=(175, 185, 145))
    for number, sign in enumerate(text):
        x, y = 60 + 60 * number, 222
        for name in SEGMENTS[sign]:
            for left, top, right, bottom in BARS[name]:
                pen.rectangle((x + left, y + top, x + right, y + bottom), fill=(30, 32, 30))
    return np.asarray(paper)


@pytest.mark.parametrize("text", ["05:25", "02:23", "08:52"])
def test_a_display_is_not_taken_to_stand_on_its_head(reader: Reader, text: str) -> None:
    """Digits of seven segments are digits on their heads as well: 52:50, E2:20."""
    assert reader.page(display(text)).text == text


def test_a_sheet_of_more_than_a_thousand_numbers_is_found_from_its_top(reader: Reader) -> None:
    paper = Image.new("RGB", (2000, 1800), "white")
    pen, face = ImageDraw.Draw(paper), ImageFont.load_default(16)
    for row in range(46):
        for column in range(28):
            pen.text((20 + 70 * column, 12 + 38 * row), str(1000 + 28 * row + column), "black", face)

    found = np.concatenate([cell.boxes for row in reader.find_rows(np.asarray(paper)) for cell in row.cells])

    assert len(found) > 1200
    assert found[:, :, 1].min() < 40
