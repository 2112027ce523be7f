"""Check boxes and switches beside the texts of a page, as the transcriber writes them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from sightline.core import Pixels
from sightline.engines.transcribe.controls import find_controls
from sightline.engines.transcribe.networks import Networks, weights_folder
from sightline.engines.transcribe.reader import transcribe

pytestmark = pytest.mark.engine

SIZE = 26
INK, PAPER = "#202530", "#fbfaf6"


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(weights_folder(), threads=2, precision=None)


class Form:
    """A page on which texts, check boxes and switches are drawn."""

    def __init__(self, *, ink: str = INK, paper: str = PAPER, size: tuple[int, int] = (640, 420)) -> None:
        self.ink, self.paper = ink, paper
        self.image = Image.new("RGB", size, paper)
        self.pen = ImageDraw.Draw(self.image)
        self.face = ImageFont.load_default(SIZE)

    def write(self, x: int, y: int, text: str) -> int:
        """Write a text; return where it ends."""
        self.pen.text((x, y), text, self.ink, self.face)
        return int(x + self.face.getlength(text))

    def box(self, x: int, y: int, *, tick: str = "", line: int = 2, side: int = 20) -> None:
        """Draw a check box, empty or with a tick of one of several makes."""
        y += 6
        filled = tick == "filled"
        self.pen.rectangle((x, y, x + side, y + side), "#2060c0" if filled else None, self.ink, line)
        if tick in ("tick", "filled"):
            points = [(x + 4, y + side // 2), (x + 9, y + side - 5), (x + side - 3, y + 3)]
            self.pen.line(points, self.paper if filled else "#b03020", 3)
        if tick == "cross":
            self.pen.line((x + 4, y + 4, x + side - 4, y + side - 4), self.ink, 2)
            self.pen.line((x + 4, y + side - 4, x + side - 4, y + 4), self.ink, 2)

    def switch(self, x: int, y: int, *, on: bool) -> None:
        self.pen.rounded_rectangle((x, y + 2, x + 48, y + 28), 13, "#3a80d8" if on else "#a8a8b0")
        knob = x + 35 if on else x + 13
        self.pen.ellipse((knob - 10, y + 5, knob + 10, y + 25), "white")

    def read(self, networks: Networks, *, turn: float = 0.0) -> str:
        page = self.image.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=self.paper)
        return transcribe(networks, np.asarray(page))


@pytest.mark.parametrize("tick", ["tick", "cross", "filled"])
@pytest.mark.parametrize("turn", [0.0, 2.0])
def test_boxes_before_their_texts_are_written_as_open_or_ticked(networks: Networks, tick: str, turn: float) -> None:
    form = Form()
    for number, (name, made) in enumerate([("Breakfast", tick), ("Parking", ""), ("Newsletter", tick)]):
        form.box(40, 60 + 70 * number, tick=made)
        form.write(74, 60 + 70 * number, name)

    assert form.read(networks, turn=turn).split("\n") == ["☑ Breakfast", "□ Parking", "☑ Newsletter"]


@pytest.mark.parametrize("colours", [(INK, PAPER), ("#e8e4d8", "#1c2330")], ids=["light", "dark"])
def test_boxes_behind_their_texts_on_one_line(networks: Networks, colours: tuple[str, str]) -> None:
    form = Form(ink=colours[0], paper=colours[1])
    form.write(40, 60, "Reservation for two")
    for x, name, tick in ((40, "Single", "tick"), (230, "Member", ""), (430, "Adult", "tick")):
        form.box(form.write(x, 140, name) + 12, 140, tick=tick)

    text = form.read(networks)

    assert text.split() == ["Reservation", "for", "two", "Single", "☑", "Member", "□", "Adult", "☑"]
    assert text.count("\n") == 1


def test_a_switch_is_written_in_the_row_of_its_setting(networks: Networks) -> None:
    form = Form()
    for number, (name, on) in enumerate([("Night light", True), ("Bluetooth", False), ("Location", True)]):
        form.write(40, 60 + 70 * number, name)
        form.switch(540, 60 + 70 * number, on=on)

    assert form.read(networks).split("\n") == ["Night light\t☑", "Bluetooth\t□", "Location\t☑"]


@pytest.mark.parametrize("text", ["D  B  O  0  8  Q  R", "DO 80 BOD DRAB", "8 D 0 B", "[x] Tea [ ] Rye"])
def test_letters_are_no_boxes(networks: Networks, text: str) -> None:
    form = Form()
    form.write(40, 60, "Seat")
    form.write(40, 140, text)

    assert not set(form.read(networks)) & set("☑□")


def test_a_frame_around_a_digit_and_the_cells_of_a_table_are_no_boxes(networks: Networks) -> None:
    form = Form()
    form.write(40, 40, "Persons")
    for number, digit in enumerate("538"):
        form.pen.rectangle((200 + 60 * number, 34, 244 + 60 * number, 78), None, INK, 2)
        form.write(214 + 60 * number, 40, digit)
    for row in range(3):
        for column in range(3):
            form.pen.rectangle((40 + 150 * column, 140 + 50 * row, 190 + 150 * column, 190 + 50 * row), None, INK, 2)
            form.write(60 + 150 * column, 150 + 50 * row, f"{row}{column}4")

    assert not set(form.read(networks)) & set("☑□")


def test_the_squares_of_a_legend_are_no_boxes(networks: Networks) -> None:
    form = Form()
    for number, (name, colour) in enumerate([("Tea", "#c04030"), ("Coffee", "#3060c0"), ("Juice", "#30a060")]):
        form.pen.rectangle((40, 66 + 70 * number, 60, 86 + 70 * number), colour)
        form.write(74, 60 + 70 * number, name)

    assert form.read(networks).split("\n") == ["Tea", "Coffee", "Juice"]


def test_a_page_that_is_a_pattern_takes_no_longer() -> None:
    """A thousand boxes and more are looked at by nobody: their number, not their kind, is what a request can choose."""
    page = Image.new("RGB", (4000, 2000), "white")
    pen = ImageDraw.Draw(page)
    for x in range(0, 4000, 40):
        for y in range(0, 2000, 40):
            pen.rectangle((x + 8, y + 8, x + 28, y + 28), None, "black", 2)
    boxes = np.array([[(60, 4), (140, 4), (140, 34), (60, 34)]], np.float64)

    began = time.process_time()
    found = find_controls(np.asarray(page), boxes)

    assert found == []
    assert time.process_time() - began < 30


def test_controls_are_found_where_they_are() -> None:
    form = Form()
    form.box(40, 60, tick="tick")
    form.switch(540, 60, on=False)
    boxes = np.array([[(70, 58), (200, 58), (200, 92), (70, 92)]], np.float64)

    box, switch = find_controls(np.asarray(form.image), boxes)

    assert (box.is_on, switch.is_on) == (True, False)
    assert np.abs(box.corners - [(40, 66), (60, 66), (60, 86), (40, 86)]).max() <= 2
    assert np.abs(switch.corners.mean(axis=0) - (564, 75)).max() <= 3
    assert (box.text, box.label, switch.label) == (-1, 0, 0)


def test_tiny_and_blank_pictures_have_none() -> None:
    boxes = np.array([[(0, 0), (9, 0), (9, 6), (0, 6)]], np.float64)
    blank: Pixels = np.full((8, 10, 3), 200, np.uint8)

    assert find_controls(blank, boxes) == []
