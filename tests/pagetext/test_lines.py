"""Lines: text with its place on the image that was given, whichever way up that stands, and its cell in a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import pagetext
from pagetext import Line, Reader
from pagetext.types import Pixels

pytestmark = pytest.mark.engine

SIZE = (900, 500)
TABLE = [("Item", "Price", "Stock"), ("Olive oil", "4.50", "12"), ("Rye bread", "2.80", "31"), ("Figs", "3.20", "7")]
LEFTS = (60, 400, 650)


def draw() -> tuple[Pixels, dict[str, tuple[float, float, float, float]]]:
    """Draw a heading over a table; return the image and where each text was drawn."""
    paper = Image.new("RGB", SIZE, "white")
    pen, face = ImageDraw.Draw(paper), ImageFont.load_default(30)
    placed = {"Weekly stock list": (60, 40)}
    placed |= {
        text: (left, 140 + 80 * row) for row, texts in enumerate(TABLE) for text, left in zip(texts, LEFTS, strict=True)
    }
    for text, place in placed.items():
        pen.text(place, text, "black", face)
    return np.asarray(paper), {text: pen.textbbox(place, text, face) for text, place in placed.items()}


def by_text(lines: Iterable[Line]) -> dict[str, Line]:
    return {line.text: line for line in lines}


def test_lines_stand_where_they_were_drawn(reader: Reader) -> None:
    image, drawn = draw()

    lines = by_text(reader.page(image).lines)

    assert lines.keys() == drawn.keys()
    for text, box in drawn.items():
        assert np.abs(np.subtract(lines[text].box, box)).max() <= 6, text
        assert lines[text].confidence > 0.9


def words(size_px: int) -> tuple[Pixels, dict[str, tuple[float, float, float, float]]]:
    """Draw one line of print; return the image and where each of its words was drawn."""
    paper = Image.new("RGB", (40 * size_px, 4 * size_px), "white")
    pen, face = ImageDraw.Draw(paper), ImageFont.load_default(size_px)
    drawn, left = {}, float(size_px)
    for word in ("Invoice", "INV-20417", "of", "12.03.2026,", "due", "31.12.2026"):
        pen.text((left, size_px), word, "black", face)
        drawn[word] = pen.textbbox((left, size_px), word, face)
        left += pen.textlength(word + " ", face)
    return np.asarray(paper), drawn


@pytest.mark.parametrize("size_px", [16, 30, 60])
def test_each_word_of_a_line_has_its_own_corners(reader: Reader, size_px: int) -> None:
    image, drawn = words(size_px)

    (line,) = reader.page(image).lines

    assert len(line.centres) == len(line.text)
    for word, (left, _, right, _) in drawn.items():
        begin = line.text.index(word)
        (from_x, _), (to_x, _), *_ = line.quad_of(begin, begin + len(word))
        assert abs(from_x - left) < 0.4 * size_px, word
        assert abs(to_x - right) < 0.4 * size_px, word


def test_word_of_a_turned_line_has_its_corners_on_that_image(reader: Reader) -> None:
    image, drawn = words(30)
    left, _, right, _ = drawn["INV-20417"]

    (line,) = reader.page(np.ascontiguousarray(np.rot90(image))).lines
    begin = line.text.index("INV-20417")
    (_, from_y), (_, to_y), *_ = line.quad_of(begin, begin + len("INV-20417"))

    assert abs(from_y - (image.shape[1] - left)) < 12
    assert abs(to_y - (image.shape[1] - right)) < 12


def test_line_on_a_larger_copy_stands_at_the_same_place() -> None:
    line = Line("ab", (10, 20, 30, 40), ((10, 20), (30, 20), (30, 40), (10, 40)), 0.9, (0.25, 0.75))

    larger = line.scaled(2.0, 3.0)

    assert larger.box == (20, 60, 60, 120)
    assert larger.quad == ((20, 60), (60, 60), (60, 120), (20, 120))
    assert larger.quad_of(1, 2) == ((40, 60), (60, 60), (60, 120), (40, 120))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_lines_of_a_turned_image_stand_on_that_image(reader: Reader, quarters: int) -> None:
    """Corners begin at the upper left of the text, which is elsewhere on the image that was given."""
    image, drawn = draw()
    turned = np.ascontiguousarray(np.rot90(image, quarters))

    lines = by_text(reader.page(turned).lines)

    assert lines.keys() == drawn.keys()
    for text, (left, top, right, bottom) in drawn.items():
        corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        width, height = SIZE
        for _ in range(quarters):
            corners = np.stack([corners[:, 1], width - 1 - corners[:, 0]], axis=1)
            width, height = height, width
        assert np.abs(np.array(lines[text].quad) - corners).max() <= 12, text


def test_lines_of_a_strip_stand_within_it(reader: Reader) -> None:
    """A strip is given a border before it is read."""
    image, drawn = draw()
    strip = np.ascontiguousarray(image[36:76])

    (line,) = reader.page(strip).lines

    left, top, right, bottom = drawn["Weekly stock list"]
    assert line.text == "Weekly stock list"
    assert np.abs(np.subtract(line.box, (left, top - 36, right, bottom - 36))).max() <= 12
    assert line.box[1] >= 0
    assert line.box[3] <= len(strip)


def test_lines_of_a_table_know_their_row_and_column(reader: Reader) -> None:
    page = reader.page(draw()[0])
    lines = by_text(page.lines)

    assert (lines["Weekly stock list"].row, lines["Weekly stock list"].column) == (None, None)
    for row, texts in enumerate(TABLE):
        assert [(lines[text].row, lines[text].column) for text in texts] == [(row + 1, 0), (row + 1, 1), (row + 1, 2)]
    assert page.text.split("\n") == ["Weekly stock list", *("\t".join(texts) for texts in TABLE)]


def test_a_check_box_is_a_line_of_its_own(reader: Reader) -> None:
    paper = Image.new("RGB", (500, 200), "white")
    pen = ImageDraw.Draw(paper)
    pen.rectangle((40, 66, 60, 86), None, "black", 2)
    pen.text((74, 60), "Breakfast", "black", ImageFont.load_default(26))

    box, label = reader.page(np.asarray(paper)).lines

    assert (box.text, label.text) == ("□", "Breakfast")
    assert np.abs(np.subtract(box.box, (40, 66, 60, 86))).max() <= 3
    assert box.confidence == 1.0
    assert box.box[2] <= label.box[0] + 3


def test_the_functions_read_as_a_reader_does(reader: Reader) -> None:
    image, _ = draw()

    assert pagetext.read(image) == list(reader.page(image).lines)
    assert pagetext.transcribe(image) == reader.page(image).text


def test_a_line_is_a_value() -> None:
    line = Line("a", (0, 0, 1, 1), ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), 0.5)

    assert hash(line) == hash(Line("a", (0, 0, 1, 1), line.quad, 0.5))
    with pytest.raises(FrozenInstanceError):
        line.text = "b"  # type: ignore[misc]


def test_the_example_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(pagetext.__file__).parent / "README.md").read_text(encoding="utf-8")
    first, second = readme.split("```python\n")[1:]
    monkeypatch.chdir(Path(__file__).parents[2] / "examples" / "images")

    names: dict[str, object] = {}
    for block in (first, second):
        exec(block.partition("```")[0], names)

    assert capsys.readouterr().out.rstrip().endswith(Path("receipt.txt").read_text(encoding="utf-8").strip())
    assert isinstance(names["page"], pagetext.Page)
