"""The reading order of boxes without pictures: columns, rows and cells from geometry alone."""

from __future__ import annotations

import numpy as np
import pytest

from pagetext.layout.reading_order import ChartLayout, reading_order
from pagetext.plain_text import row_text

LINE_PX = 30
STEP_PX = 36

Placed = list[tuple[str, float, float, float]]
"""Text, left, top, width."""


def lines(name: str, left: float, top: float, widths: list[float]) -> Placed:
    return [(f"{name}{number}", left, top + number * STEP_PX, width) for number, width in enumerate(widths)]


def read(placed: Placed, tilt_deg: float = 0.0) -> list[str]:
    """Read boxes in an order of their own: rows, cells joined by a tab, their boxes by a blank."""
    placed = [placed[at] for at in np.random.default_rng(3).permutation(len(placed))]
    boxes = np.array(
        [
            [(left, top), (left + width, top), (left + width, top + LINE_PX), (left, top + LINE_PX)]
            for _, left, top, width in placed
        ]
    )
    cos, sin = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    rows: list[str] = []
    for line in reading_order(boxes @ np.array([[cos, sin], [-sin, cos]])):
        of_cells = [(row, 0) for row in line.rows] if isinstance(line, ChartLayout) else [line]
        rows += [row_text([" ".join(placed[at][0] for at in cell) for cell in row], values) for row, values in of_cells]
    return rows


def axes(placed: Placed) -> tuple[list[str], list[str]] | None:
    """What the column and the row of a chart's axes say, None if the boxes are no such chart."""
    boxes = [[(x, y), (x + wide, y), (x + wide, y + LINE_PX), (x, y + LINE_PX)] for _, x, y, wide in placed]
    for line in reading_order(np.array(boxes, float)):
        if isinstance(line, ChartLayout):
            return [placed[at][0] for at in line.axes.column], [placed[at][0] for at in line.axes.row]
    return None


def names(placed: Placed) -> list[str]:
    return [text for text, *_ in placed]


FULL = [900, 880, 890, 300]
NARROW = [400, 390, 410, 395, 180]


@pytest.mark.parametrize("tilt_deg", [0.0, 5.0, -7.0])
@pytest.mark.parametrize("offset_px", [0, 11])
def test_columns_are_read_one_after_another(offset_px: int, tilt_deg: float) -> None:
    left = lines("a", 100, 100, NARROW)
    right = lines("b", 560, 100 + offset_px, NARROW)

    assert read(left + right, tilt_deg) == names(left + right)


def test_three_columns_between_lines_over_the_whole_width() -> None:
    top = lines("top", 50, 50, FULL)
    columns = [*lines("a", 50, 220, [280] * 5), *lines("b", 370, 220, [270] * 4), *lines("c", 690, 220, [275] * 6)]
    end = lines("end", 50, 460, FULL)

    assert read(top + columns + end) == names(top + columns + end)


def test_columns_that_begin_again_below_a_table() -> None:
    above = [*lines("a", 50, 50, NARROW), *lines("b", 510, 50, NARROW)]
    table = [(f"{row}{column}", 50 + 240 * column, 260 + 40 * row, 90.0) for row in range(4) for column in range(4)]
    heading = [("heading", 50.0, 440.0, 300.0)]
    below = [*lines("c", 50, 480, NARROW), *lines("d", 510, 480, NARROW)]

    rows = ["\t".join(f"{row}{column}" for column in range(4)) for row in range(4)]
    assert read(above + table + heading + below) == [*names(above), *rows, "heading", *names(below)]


def test_a_table_in_a_column_is_read_where_it_stands() -> None:
    left = lines("a", 50, 50, NARROW)
    table = [(f"{row}{column}", 60 + 200 * column, 250 + 40 * row, 80.0) for row in range(3) for column in range(2)]
    after = lines("b", 50, 390, NARROW)
    right = lines("c", 510, 50, [400] * 14)

    rows = [f"{row}0\t{row}1" for row in range(3)]
    assert read(left + table + after + right) == [*names(left), *rows, *names(after), *names(right)]


def test_headings_of_columns_stay_with_them() -> None:
    left = [("A", 50.0, 50.0, 120.0), *lines("a", 50, 100, NARROW)]
    right = [("B", 510.0, 50.0, 140.0), *lines("b", 510, 100, NARROW)]

    assert read(left + right) == names(left + right)


def test_a_missing_cell_is_an_empty_one() -> None:
    cells: Placed = [
        ("name", 50, 50, 200), ("town", 400, 50, 120), ("room", 700, 50, 80),
        ("Ann", 50, 90, 150), ("B-2", 700, 90, 80),
        ("Bob", 50, 130, 180), ("Oslo", 400, 130, 100),
        ("Rome", 400, 170, 110), ("C-1", 700, 170, 80),
    ]  # fmt: skip

    assert read(cells) == ["name\ttown\troom", "Ann\t\tB-2", "Bob\tOslo", "\tRome\tC-1"]


def test_two_boxes_of_one_cell_are_joined_by_a_blank() -> None:
    cells: Placed = [
        ("olive", 50, 50, 90), ("oil", 160, 50, 60), ("4.50", 700, 50, 80),
        ("tomatoes", 50, 90, 190), ("3.20", 700, 90, 80),
        ("rye bread", 50, 130, 170), ("2.80", 700, 130, 80),
    ]  # fmt: skip

    assert read(cells) == ["olive oil\t4.50", "tomatoes\t3.20", "rye bread\t2.80"]


def test_figures_to_the_right_of_their_heading_are_in_its_column() -> None:
    cells: Placed = [
        ("place", 50, 50, 90), ("share", 400, 50, 90), ("rank", 700, 50, 80),
        ("Oslo", 50, 90, 80), ("12 %", 580, 90, 70), ("4", 820, 90, 20),
        ("Rome", 50, 130, 85), ("9 %", 590, 130, 60), ("17", 810, 130, 30),
    ]  # fmt: skip

    assert read(cells) == ["place\tshare\trank", "Oslo\t12 %\t4", "Rome\t9 %\t17"]


def test_a_heading_that_reaches_to_the_next_column_is_a_cell_of_its_own() -> None:
    cells: Placed = [
        ("2025", 400, 50, 120), ("share", 521, 50, 120), ("rank", 800, 50, 80),
        ("100", 430, 90, 90), ("12 %", 680, 90, 70), ("4", 850, 90, 20),
        ("200", 430, 130, 90), ("9 %", 690, 130, 60), ("17", 840, 130, 30),
        ("300", 430, 170, 90), ("8 %", 690, 170, 60), ("18", 840, 170, 30),
    ]  # fmt: skip

    assert read(cells) == ["2025\tshare\trank", "100\t12 %\t4", "200\t9 %\t17", "300\t8 %\t18"]


def test_a_single_row_with_a_gap_is_no_table() -> None:
    head: Placed = [("page 4", 50, 50, 100), ("2026", 800, 50, 80)]
    text = lines("a", 50, 150, FULL)

    assert read(head + text) == ["page 4 2026", *names(text)]


def test_numbers_before_items_are_no_column() -> None:
    items: Placed = [
        box
        for row in range(5)
        for box in ((f"{row}.", 50.0, 50.0 + 40 * row, 30.0), (f"item{row}", 105.0, 50.0 + 40 * row, 300.0 + 31 * row))
    ]

    assert read(items) == [f"{row}. item{row}" for row in range(5)]


def test_a_line_in_pieces_is_no_table() -> None:
    """The detector parts justified lines at their widest gaps, in each line elsewhere."""
    pieces: Placed = []
    for row, gap in enumerate((300, 520, 180, 640)):
        top = 50.0 + STEP_PX * row
        pieces += [(f"a{row}", 50.0, top, gap - 50.0), (f"b{row}", gap + 20.0, top, 880.0 - gap)]

    assert read(pieces) == [f"a{row} b{row}" for row in range(4)]


BARS: Placed = [("Sales", 300, 20, 120)]
BARS += [("31", 130, 220, 40), ("52", 330, 110, 40), ("44", 530, 160, 40), ("9", 735, 400, 30)]


@pytest.mark.parametrize("tilt_deg", [0.0, 3.0])
def test_values_stand_beside_the_labels_below_them(tilt_deg: float) -> None:
    apart: Placed = [("Mon", 120, 470, 60), ("Tue", 320, 470, 60), ("Wed", 520, 470, 60), ("Thu", 720, 470, 60)]

    chart = "Mon\t31\nTue\t52\nWed\t44\nThu\t9"
    assert read(BARS + apart, tilt_deg) == ["Sales", chart]
    assert read([*BARS, ("New York", 90, 470, 120), *apart[1:]])[-1] == chart.replace("Mon", "New York")
    assert read([*BARS, ("Mon Tue Wed Thu", 120, 470, 660)]) == ["Sales", chart]


def test_a_value_or_a_label_that_cannot_be_read_leaves_the_others_in_place() -> None:
    assert row_text(["31", "", "44", "Mon", "Tue", ""], 3) == "Mon\t31\nTue\n\t44"
    assert row_text([""] * 6, 3) == ""


def test_labels_of_another_number_of_words_stay_as_they_are() -> None:
    assert read([*BARS, ("New York Oslo Bern Rome", 120, 470, 660)])[1:] == ["31\t52\t44\t9\nNew York Oslo Bern Rome"]


def test_what_stands_at_several_heights_is_no_chart() -> None:
    """A scale at the side of a chart, boxes that are not evenly spaced, values that do not reach over the labels."""
    scale: Placed = [(f"{number}0", 60, 110 + 90 * (4 - number), 40) for number in range(5)]
    labels: Placed = [("Mon Tue Wed Thu", 120, 560, 660)]
    uneven = [("31", 130, 220, 40), ("52", 230, 110, 40), ("44", 530, 160, 40), ("9", 735, 400, 30)]

    for placed in (scale + labels, uneven + labels, BARS[1:4] + labels):
        assert len(read(placed)) == len(placed)


SCALE: Placed = [(f"{number}0", 60, 470 - 90 * number, 40) for number in reversed(range(1, 5))]
DAYS: Placed = [(day, 130 + 150 * at, 530, 60) for at, day in enumerate(("Mon", "Tue", "Wed"))]


def test_a_column_beside_a_row_are_axes() -> None:
    numbers, days = [text for text, *_ in SCALE], [text for text, *_ in DAYS]

    assert axes([("Sales", 300, 20, 90), *SCALE, *DAYS]) == (numbers, days)
    assert axes([*SCALE[:2], *SCALE[3:], *DAYS]) == ([*numbers[:2], numbers[3]], days)


def test_columns_that_are_not_even_or_not_in_line_are_no_axes() -> None:
    assert axes([*SCALE[2:], *DAYS]) is None
    assert axes([*SCALE[:2], ("20", 60, 350, 40), *SCALE[3:], *DAYS]) is None
    assert axes([(text, left + 60 * at, top, wide) for at, (text, left, top, wide) in enumerate(SCALE)] + DAYS) is None
    assert axes([*SCALE, ("note", 300, SCALE[1][2], 80), *DAYS]) is None


def test_the_head_of_a_receipt_is_no_chart() -> None:
    """A town in the middle over a date and a time at the sides stands as evenly as values do."""
    goods = [(text, left, 200 + 50 * number, 120) for number in range(3) for text, left in (("tea", 90), ("3.20", 690))]
    head: Placed = [("Oslo", 390, 50, 120), ("4.5.2021", 90, 100, 120), ("15:03", 690, 100, 120)]
    ticket: Placed = [("Ticket", 90, 150, 120), ("no.", 300, 150, 60), ("61", 690, 150, 120)]

    rows = ["Oslo", "4.5.2021\t15:03", "Ticket no.\t61", *["tea\t3.20"] * 3]
    assert read([*head, *ticket, *goods]) == rows
    assert len(read([*head, *ticket])) == 3
    assert len(read([*head, ("Ticket no. 61", 90, 150, 720), *goods])) == 6


def test_values_have_figures() -> None:
    assert row_text(["Ann", "Bob", "9", "Mon", "Tue", "Wed"], 3) == "Ann\tBob\t9\nMon Tue Wed"


def test_nothing_to_read_is_no_rows() -> None:
    assert reading_order(np.zeros((0, 4, 2))) == []


def test_a_label_on_its_side_leaves_a_table_its_cells() -> None:
    """A heading of rows at the left edge, written upwards, eight times as high as wide: a line of its own."""
    table = [
        (f"{row}{column}", 120.0 + 200 * column, 100.0 + STEP_PX * row, 80.0) for row in range(9) for column in range(4)
    ]
    boxes = [[(x, y), (x + wide, y), (x + wide, y + LINE_PX), (x, y + LINE_PX)] for _, x, y, wide in table]
    label = [(40, 150), (64, 150), (64, 350), (40, 350)]

    rows = [row.cells for row in reading_order(np.array([*boxes, label], np.float64))]

    heading = [[len(boxes)], [], [], []]
    assert rows.count(heading) == 1
    assert [row for row in rows if row != heading] == [[[4 * row + at] for at in range(4)] for row in range(9)]


def test_a_sheet_of_thousands_of_numbers_is_read_row_by_row() -> None:
    numbers = [
        [(x, y), (x + 40, y), (x + 40, y + 12), (x, y + 12)]
        for y in range(0, 80 * 20, 20)
        for x in range(0, 50 * 60, 60)
    ]

    rows = reading_order(np.array(numbers, np.float64))

    assert [len(row.cells) for row in rows] == [50] * 80


Sized = list[tuple[float, float, float, float]]
"""Left, top, right, bottom."""


def rows_of(sized: Sized) -> list[list[int]]:
    boxes = np.array([[(left, top), (right, top), (right, end), (left, end)] for left, top, right, end in sized])
    rows: list[list[int]] = []
    for line in reading_order(boxes):
        assert not isinstance(line, ChartLayout)
        rows.append([index for cell in line.cells for index in cell])
    return rows


FIGURE = (100.0, 100.0, 400.0, 200.0)


@pytest.mark.parametrize("top", [100.0, 120.0, 160.0])
def test_a_unit_beside_a_large_figure_stands_behind_it(top: float) -> None:
    assert rows_of([(410, top, 470, top + 40), FIGURE]) == [[1, 0]]


@pytest.mark.parametrize(
    "others",
    [
        [(410.0, 100.0, 600.0, 140.0), (410.0, 160.0, 600.0, 200.0)],
        [(410.0, 210.0, 470.0, 250.0)],
        [(410.0, 40.0, 470.0, 90.0)],
        [(520.0, 160.0, 580.0, 200.0)],
    ],
    ids=["two lines", "below", "above", "far"],
)
def test_what_is_no_unit_of_a_large_figure_has_lines_of_its_own(others: Sized) -> None:
    assert sorted(rows_of([FIGURE, *others])) == [[number] for number in range(len(others) + 1)]
