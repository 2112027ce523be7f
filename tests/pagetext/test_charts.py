"""Charts whose values are not printed: the transcriber measures plain ones, and leaves all others as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pagetext import Reader
from pagetext.types import Pixels

pytestmark = pytest.mark.engine

LABELS = ("Apples", "Pears", "Plums", "Figs")
VALUES = (30, 100, 54, 80)
LEFT, FOOT, TOP, SLOT = 120, 420, 60, 140
BACK = "gainsboro"


class Canvas:
    """A sheet with an axis from 0 to 100 on its left, or below, and labels on the other side."""

    def __init__(
        self,
        *,
        stands: bool = True,
        ticks: tuple[str, ...] = ("0", "20", "40", "60", "80", "100"),
        labels: tuple[str, ...] = LABELS,
    ) -> None:
        self.image = Image.new("RGB", (720, 500), "white")
        self.pen = ImageDraw.Draw(self.image)
        self.face = ImageFont.load_default(26)
        self.stands = stands
        for number, tick in enumerate(ticks):
            at = self.place(100 * number / (len(ticks) - 1))
            line = [(LEFT, at), (700, at)] if stands else [(at, TOP), (at, FOOT)]
            self.pen.line(line, BACK, 2)
            self.pen.text(
                (LEFT - 12, at) if stands else (at, FOOT + 30), tick, "black", self.face, "rm" if stands else "mm"
            )
        for number, label in enumerate(labels):
            at = self.middle(number)
            self.pen.text(
                (at, FOOT + 40) if stands else (LEFT - 12, at), label, "black", self.face, "mm" if stands else "rm"
            )

    def place(self, value: float) -> float:
        """Return where a value is along the axis."""
        return FOOT - (FOOT - TOP) * value / 100 if self.stands else LEFT + 5.4 * value

    def middle(self, number: int) -> float:
        """Return where a label is across the axis."""
        return LEFT + SLOT * (number + 0.5) if self.stands else TOP + 90 * (number + 0.5)

    def bar(self, number: int, value: float, *, shift: float = 0, half: float = 40, colour: str = "steelblue") -> None:
        """Draw a bar from the foot to its value."""
        at, end = self.middle(number) + shift, self.place(value)
        box = (at - half, end, at + half, FOOT) if self.stands else (LEFT, at - half / 2, end, at + half / 2)
        self.pen.rectangle(box, colour)

    def curve(self, values: tuple[int, ...], colour: str = "crimson") -> None:
        """Draw a line with its points."""
        points = [(self.middle(number), self.place(value)) for number, value in enumerate(values)]
        self.pen.line(points, colour, 4)
        for x, y in points:
            self.pen.ellipse((x - 6, y - 6, x + 6, y + 6), colour)

    def pixels(self, tilt: float = 0.0) -> Pixels:
        """Return the sheet, turned by so many degrees."""
        turned = self.image.rotate(tilt, Image.Resampling.BICUBIC, fillcolor="white")
        return np.asarray(turned)


def bars(canvas: Canvas, values: tuple[int, ...] = VALUES) -> None:
    for number, value in enumerate(values):
        canvas.bar(number, value)


def measured(text: str) -> dict[str, str]:
    return dict(line.split("\t") for line in text.split("\n") if "\t~" in line)


TRUE = {label: f"~{value}" for label, value in zip(LABELS, VALUES, strict=True)}


@pytest.mark.parametrize("tilt", [-1.4, 0.0, 0.8])
@pytest.mark.parametrize("stands", [True, False])
def test_bars_are_measured_beside_their_axis(reader: Reader, tilt: float, *, stands: bool) -> None:
    canvas = Canvas(stands=stands)
    bars(canvas)

    assert measured(reader.page(canvas.pixels(tilt)).text) == TRUE


def test_a_title_close_above_is_no_part_of_a_bar(reader: Reader) -> None:
    canvas = Canvas()
    bars(canvas)
    canvas.pen.text((400, 25), "Harvest 2024", "black", canvas.face, "mm")

    assert measured(reader.page(canvas.pixels()).text) == TRUE


@pytest.mark.parametrize("title", ["Tons", "Sales in tons", "Temperature in Rome"])
@pytest.mark.parametrize("turn", [90, -90])
def test_the_title_of_an_axis_runs_up_or_down_beside_it(reader: Reader, title: str, turn: int) -> None:
    canvas = Canvas()
    bars(canvas)
    name = Image.new("RGB", (300, 40), "white")
    ImageDraw.Draw(name).text((150, 20), title, "black", canvas.face, "mm")
    canvas.image.paste(name.rotate(turn, expand=True), (14, (TOP + FOOT) // 2 - 150))

    text = reader.page(canvas.pixels()).text

    assert title in text.split("\n")
    assert measured(text) == TRUE


def test_points_of_a_line_are_measured(reader: Reader) -> None:
    canvas = Canvas()
    canvas.curve(VALUES)

    assert measured(reader.page(canvas.pixels()).text) == TRUE


def test_the_axis_is_read_too_and_values_have_its_unit(reader: Reader) -> None:
    canvas = Canvas(ticks=("$0", "$1,000", "$2,000", "$3,000", "$4,000"))
    bars(canvas, (25, 100, 60, 75))

    text = reader.page(canvas.pixels()).text

    assert text.split("\n")[:4] == ["$4,000", "$3,000", "$2,000", "$1,000"]
    assert measured(text) == {"Apples": "~$1,000", "Pears": "~$4,000", "Plums": "~$2,400", "Figs": "~$3,000"}


@pytest.mark.parametrize("stands", [True, False])
def test_an_axis_that_goes_over_to_thousands_is_not_measured(reader: Reader, *, stands: bool) -> None:
    canvas = Canvas(ticks=("0", "400", "800", "1.2k", "1.6k"), stands=stands)
    bars(canvas)

    assert measured(reader.page(canvas.pixels()).text) == {}


def test_a_label_without_a_bar_has_no_value(reader: Reader) -> None:
    canvas = Canvas()
    for number in (0, 1, 3):
        canvas.bar(number, VALUES[number])

    text = reader.page(canvas.pixels()).text

    assert "Plums" in text.split("\n")
    assert measured(text) == {label: value for label, value in TRUE.items() if label != "Plums"}


def grouped() -> Canvas:
    canvas = Canvas()
    for number, value in enumerate(VALUES):
        canvas.bar(number, value, shift=-20, half=20)
        canvas.bar(number, 110 - value, shift=21, half=20, colour="darkorange")
    return canvas


def two_lines() -> Canvas:
    canvas = Canvas()
    canvas.curve(VALUES)
    canvas.curve((70, 40, 20, 30), "seagreen")
    return canvas


def logarithmic() -> Canvas:
    canvas = Canvas(ticks=("1", "10", "100", "1000", "10000"))
    bars(canvas)
    return canvas


def noted() -> Canvas:
    """A note beside the axis, and a bar that ends behind it."""
    canvas = Canvas()
    bars(canvas, (30, 92, 54, 40))
    canvas.pen.text((canvas.middle(2), canvas.place(80)), "record", "black", canvas.face, "mm")
    return canvas


def in_pieces() -> Canvas:
    canvas = Canvas()
    bars(canvas)
    for value in range(5, 100, 5):
        canvas.pen.line([(LEFT + 2, canvas.place(value)), (700, canvas.place(value))], "white", 5)
    return canvas


def touching() -> Canvas:
    canvas = Canvas()
    for number, value in enumerate((20, 100, 60, 80)):
        canvas.bar(number, value, half=68)
    return canvas


def without_its_top() -> Canvas:
    canvas = Canvas(ticks=("0", "20", "40", "60", "", ""))
    bars(canvas)
    return canvas


def with_dots() -> Canvas:
    canvas = Canvas(ticks=("0", "1.000", "2.000", "3.000", "4.000"))
    bars(canvas)
    return canvas


def below_nought() -> Canvas:
    canvas = Canvas(ticks=("-100", "-80", "-60", "-40", "-20", "0"))
    for number, value in enumerate((40, 40, 40, 60)):
        canvas.pen.rectangle(
            (canvas.middle(number) - 40, TOP, canvas.middle(number) + 40, canvas.place(value)), "steelblue"
        )
    return canvas


def wrapped() -> Canvas:
    canvas = Canvas()
    bars(canvas)
    for number in range(4):
        canvas.pen.text((canvas.middle(number), FOOT + 68), "more", "black", canvas.face, "mm")
    return canvas


PLAIN_NOT = [grouped, two_lines, logarithmic, Canvas, noted, in_pieces, touching, without_its_top, with_dots]


@pytest.mark.parametrize("draw", [*PLAIN_NOT, below_nought, wrapped])
def test_what_is_no_plain_chart_is_not_measured(reader: Reader, draw: Callable[[], Canvas]) -> None:
    text = reader.page(draw().pixels()).text

    assert "~" not in text
    assert all(label in text for label in LABELS)


def test_labels_of_two_words_stay_whole(reader: Reader) -> None:
    canvas = Canvas(labels=("Red wine", "Tea", "Iced tea", "Milk"))
    bars(canvas)

    text = reader.page(canvas.pixels()).text

    assert measured(text) == {"Red wine": "~30", "Tea": "~100", "Iced tea": "~54", "Milk": "~80"}
