"""How the text read on a picture stands in the prompt."""

from __future__ import annotations

import pytest

from sightline.quoting import quoted, whole_lines


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("a\nb\n", 10, "a\nb"),
        ("abc\ndef", 7, "abc\ndef"),
        ("abc\ndef", 6, "abc"),
        ("abc\ndef", 4, "abc"),
        ("abc\ndef", 3, "abc"),
        ("abc\ndef", 2, "ab"),
        ("", 5, ""),
    ],
)
def test_whole_lines(text: str, most: int, kept: str) -> None:
    assert whole_lines(text, most) == kept


def test_lines_are_numbered_and_stand_in_quotes() -> None:
    assert quoted("Corner Bakery\nRye bread\t3.20") == '"""\n1 Corner Bakery\n2 Rye bread\t3.20\n"""'


def test_cells_of_a_table_say_their_column() -> None:
    assert quoted("Item\tQty\tPrice\nTea\t2\t3.20") == '"""\n1 A Item\tB Qty\tC Price\n2 A Tea\tB 2\tC 3.20\n"""'


def test_empty_cells_are_left_out() -> None:
    assert quoted("\tMon\tTue\nTea\t\t4") == '"""\n1 B Mon\tC Tue\n2 A Tea\tC 4\n"""'


def test_columns_are_named_as_in_a_spreadsheet() -> None:
    line = quoted("\t".join(str(number) for number in range(1, 55))).split("\n")[1]

    assert [cell.split()[0] for cell in line.removeprefix("1 ").split("\t")][24:28] == ["Y", "Z", "AA", "AB"]
    assert line.endswith("AZ 52\tBA 53\tBB 54")


def test_no_text_is_no_quote() -> None:
    assert quoted("") == ""
