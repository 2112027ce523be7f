"""Check boxes and switches beside the texts of a page, as the transcriber writes them."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pagetext import Reader, ocr
from pagetext.forms.controls import Control, find_controls, merge_controls
from pagetext.types import Pixels

pytestmark = pytest.mark.engine

SIZE = 26
INK, PAPER = "#202530", "#fbfaf6"


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

    def is_read_without_controls(self, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> bool:
        """Whether the page reads as it does where no controls are looked for: the recogniser knows squares, too."""
        read = self.read(reader)
        monkeypatch.setattr(ocr, "find_controls", lambda *_: [])
        return read == self.read(reader)

    def read(self, reader: Reader, *, turn: float = 0.0) -> str:
        page = self.image.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=self.paper)
        return reader.page(np.asarray(page)).text


@pytest.mark.parametrize("tick", ["tick", "cross", "filled"])
@pytest.mark.parametrize("turn", [0.0, 2.0])
@pytest.mark.parametrize(("top", "step"), [(60, 70), (110, 60)])
def test_boxes_before_their_texts_are_written_as_open_or_ticked(
    reader: Reader, tick: str, turn: float, top: int, step: int
) -> None:
    form = Form()
    for number, (name, made) in enumerate([("Breakfast", tick), ("Parking", ""), ("Newsletter", tick)]):
        form.box(40, top + step * number, tick=made)
        form.write(74, top + step * number, name)

    assert form.read(reader, turn=turn).split("\n") == ["☑ Breakfast", "□ Parking", "☑ Newsletter"]


@pytest.mark.parametrize("colours", [(INK, PAPER), ("#e8e4d8", "#1c2330")], ids=["light", "dark"])
def test_boxes_behind_their_texts_on_one_line(reader: Reader, colours: tuple[str, str]) -> None:
    form = Form(ink=colours[0], paper=colours[1])
    form.write(40, 60, "Reservation for two")
    for x, name, tick in ((40, "Single", "tick"), (230, "Member", ""), (430, "Adult", "tick")):
        form.box(form.write(x, 140, name) + 12, 140, tick=tick)

    first, second = form.read(reader).split("\n")

    assert first == "Reservation for two"
    assert second.replace("\t", " ") == "Single ☑ Member □ Adult ☑"


@pytest.mark.parametrize("before", [True, False], ids=["before", "behind"])
def test_boxes_in_columns_stay_in_the_cells_of_their_texts(reader: Reader, *, before: bool) -> None:
    form = Form()
    for row, names in enumerate([("Single", "Member", "Adult"), ("Tea", "Coffee", "Juice")]):
        for column, name in enumerate(names):
            x, y = 40 + 200 * column, 60 + 60 * row
            end = form.write(x + 34 * before, y, name)
            form.box(x if before else end + 12, y, tick="tick" if row == column else "")

    rows = [line.split("\t") for line in form.read(reader).split("\n")]

    signs = [["☑", "□", "□"], ["□", "☑", "□"]]
    names = [["Single", "Member", "Adult"], ["Tea", "Coffee", "Juice"]]
    assert rows == [
        [f"{sign} {name}" if before else f"{name} {sign}" for sign, name in zip(*row, strict=True)]
        for row in zip(signs, names, strict=True)
    ]


def test_a_switch_is_written_in_the_row_of_its_setting(reader: Reader) -> None:
    form = Form()
    for number, (name, on) in enumerate([("Night light", True), ("Bluetooth", False), ("Location", True)]):
        form.write(40, 60 + 70 * number, name)
        form.switch(540, 60 + 70 * number, on=on)

    assert form.read(reader).split("\n") == ["Night light\t☑", "Bluetooth\t□", "Location\t☑"]


@pytest.mark.parametrize("text", ["D  B  O  0  8  Q  R", "DO 80 BOD DRAB", "8 D 0 B", "[x] Tea [ ] Rye"])
def test_letters_are_no_boxes(reader: Reader, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    form = Form()
    form.write(40, 60, "Seat")
    form.write(40, 140, text)

    assert form.is_read_without_controls(reader, monkeypatch)


@pytest.mark.parametrize("digit", "237A")
@pytest.mark.parametrize("size", [16, 20])
def test_a_letter_in_a_frame_is_a_letter(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, digit: str, size: int
) -> None:
    form = Form()
    form.face = ImageFont.load_default(size)
    end = form.write(40, 60, "Persons")
    form.pen.rectangle((end + 16, 58, end + 44, 86), None, INK, 2)
    form.write(end + 24, 60, digit)

    assert form.is_read_without_controls(reader, monkeypatch)


def test_frames_around_digits_and_cells_of_a_table_are_no_boxes(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = Form()
    form.write(40, 40, "Persons")
    for number, digit in enumerate("538"):
        form.pen.rectangle((200 + 60 * number, 34, 244 + 60 * number, 78), None, INK, 2)
        form.write(214 + 60 * number, 40, digit)
    for row in range(3):
        for column in range(3):
            form.pen.rectangle((40 + 150 * column, 140 + 50 * row, 190 + 150 * column, 190 + 50 * row), None, INK, 2)
            form.write(60 + 150 * column, 150 + 50 * row, f"{row}{column}4")

    assert form.is_read_without_controls(reader, monkeypatch)


@pytest.mark.parametrize("edge", [None, INK])
@pytest.mark.parametrize("colours", [("#c04030", "#3060c0", "#30a060"), ("#f0b0a0", "#b0c8f0", "#b0e0c0")])
def test_the_squares_of_a_legend_are_no_boxes(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, colours: Sequence[str], edge: str | None
) -> None:
    form = Form()
    for number, (name, colour) in enumerate(zip(("Tea", "Coffee", "Juice"), colours, strict=True)):
        form.pen.rectangle((40, 66 + 70 * number, 60, 86 + 70 * number), colour, edge)
        form.write(74, 60 + 70 * number, name)

    assert form.is_read_without_controls(reader, monkeypatch)


def test_other_bars_are_no_switches(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    form = Form()
    for number, name in enumerate(("Card", "Loading", "Online")):
        form.write(40, 60 + 70 * number, name)
    form.pen.ellipse((500, 60, 530, 90), "#d03030")
    form.pen.ellipse((518, 60, 548, 90), "#f0a020")
    form.pen.rounded_rectangle((500, 132, 552, 158), 13, "#d0d0d8")
    form.pen.rounded_rectangle((500, 132, 524, 158), 13, "#3080d0")
    form.pen.rounded_rectangle((500, 202, 552, 228), 13, "#d0e8d0")
    form.pen.ellipse((508, 211, 516, 219), "#208030")

    assert form.is_read_without_controls(reader, monkeypatch)


def test_a_text_with_two_boxes_is_parted_at_both() -> None:
    box = np.array([(0, 0), (300, 0), (300, 30), (0, 30)], np.float64)
    square = np.array([(0, 5), (20, 5), (20, 25), (0, 25)], np.float64)
    controls = [
        Control(square + np.array((at, 0)), is_on, 0, is_whole=False, is_near=True)
        for at, is_on in ((200, False), (80, True))
    ]

    page = merge_controls(box[None], controls)

    texts = [[(round(q[:, 0].min()), round(q[:, 0].max())) for q in group.boxes] for group in page.groups]
    assert [group.symbols for group in page.groups] == [("", "☑"), ("", "□"), ("",)]
    assert texts == [[(0, 77), (80, 100)], [(103, 197), (200, 220)], [(223, 300)]]


def squares(draw: ImageDraw.ImageDraw, size: tuple[int, int], step: int) -> None:
    for x in range(0, size[0], step):
        for y in range(0, size[1], step):
            draw.rectangle((x + step // 4, y + step // 4, x + 3 * step // 4, y + 3 * step // 4), None, "black", 2)


def pills(draw: ImageDraw.ImageDraw, size: tuple[int, int], step: int) -> None:
    for x in range(8, size[0] - 80, step):
        for y in range(8, size[1] - 40, step // 2):
            draw.rounded_rectangle((x, y, x + 48, y + 26), 13, "#3a80d8")
            draw.ellipse((x + 25, y + 3, x + 45, y + 23), "white")


@pytest.mark.parametrize(
    ("make", "step", "text_px"),
    [(squares, 40, 30), (squares, 12, 8), (squares, 140, 30), (pills, 300, 30), (pills, 64, 30)],
)
def test_a_page_of_controls_takes_seconds_at_most(make: Callable[..., None], step: int, text_px: int) -> None:
    """Their number is what a request can choose: on 8 megapixels as many are looked at as on a form."""
    size = (4000, 2000)
    page = Image.new("RGB", size, "white")
    make(ImageDraw.Draw(page), size, step)
    rows = np.arange(4, 1960, max(40, 2 * text_px))
    boxes = np.array([[(60, y), (140, y), (140, y + text_px), (60, y + text_px)] for y in rows], np.float64)
    pixels = np.asarray(page)

    tracemalloc.start()
    began = time.process_time()
    found = find_controls(pixels, boxes)
    took_s, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(found) <= 200
    assert took_s < 10  # 40 and more before there was a limit
    assert peak < 200e6


@pytest.mark.parametrize("size", [(1, 1), (10, 8), (40, 4000), (4000, 20), (60, 60), (640, 480)])
@pytest.mark.parametrize("text_px", [0, 1, 3, 5, 12, 40])
def test_noise_and_odd_boxes_are_no_error(size: tuple[int, int], text_px: int) -> None:
    pixels: Pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), np.uint8)
    corners = np.array([(0, 0), (30, 0), (30, text_px), (0, text_px)], np.float64)
    boxes = corners + np.array([(0, 0), (-50, 20), (20, 8), (5000, 5000)])[:, None]

    page = merge_controls(boxes, find_controls(pixels, boxes))

    assert len(page.groups) == len(page.boxes)
    assert merge_controls(boxes[:0], find_controls(pixels, boxes[:0])).groups == ()


def test_controls_are_found_where_they_are() -> None:
    form = Form()
    form.box(40, 60, tick="tick")
    form.switch(540, 60, on=False)
    boxes = np.array([[(70, 58), (200, 58), (200, 92), (70, 92)]], np.float64)

    box, switch = find_controls(np.asarray(form.image), boxes)

    assert (box.is_on, switch.is_on) == (True, False)
    assert np.abs(box.corners - [(40, 66), (60, 66), (60, 86), (40, 86)]).max() <= 2
    assert np.abs(switch.corners.mean(axis=0) - (564, 75)).max() <= 3
    assert (box.text, switch.text) == (-1, -1)
